"""For how many children one adult is wanted."""

from __future__ import annotations

from coordination.web.forms import Chosen, Form, NumberField, both

# not Required: that takes a nought for nothing, and hides what is wrong with it
FILL = ("请填写人数。", "Enter a number.")


class RatioForm(Form):
    """Children for one adult, by stage of school."""

    low = NumberField(both("1–3 年级", "Grades 1 to 3"), [Chosen(*FILL)])
    high = NumberField(both("4–6 年级", "Grades 4 to 6"), [Chosen(*FILL)])
    middle = NumberField(both("7–9 年级", "Grades 7 to 9"), [Chosen(*FILL)])
