"""The actor as authz knows it; the value itself stands on the ground floor for the unit of work."""

from coordination.ground.actor import ANONYMOUS as ANONYMOUS
from coordination.ground.actor import SYSTEM as SYSTEM
from coordination.ground.actor import Actor as Actor
from coordination.ground.actor import Post as Post
from coordination.ground.actor import Role as Role
