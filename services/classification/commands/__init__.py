"""Commands of classification alone."""

import click

from services.classification.commands import forecast, hot_event, matrix, model, training

group = click.Group("classification")
for command in (matrix.matrix, model.model, training.train, training.evaluate, hot_event.hot_events, forecast.forecast):
    group.add_command(command)
