"""The Flask-SQLAlchemy handle. It lives here so that no floor below learns of Flask."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy

from coordination.ground.orm import Base

# Rows stay readable after the commit: a view redirects with the id of what it has just made.
db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})
