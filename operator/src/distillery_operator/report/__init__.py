"""The HTML report: one self-contained page that shows an experiment. ``cli`` writes it.

Python decides what is true and hands it over as one JSON document; the page's JavaScript, in
``assets``, only draws it.

page          template, style, scripts, plotly.js and data put together
payload       everything that the page shows, as plain JSON values
summary       the sentences at the top
correlations  between what was set and what was measured
units         how metrics are shown to people
"""
