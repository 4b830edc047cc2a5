"""All views of this feature, by importing them."""

from coordination.blueprints.care import family as family
from coordination.blueprints.care import leader as leader
from coordination.blueprints.care.blueprint import bp as bp
