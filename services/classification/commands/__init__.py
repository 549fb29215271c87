"""Commands of classification alone."""

import click

from services.classification.commands import hot_event, matrix, model, training

group = click.Group("classification")
for command in (matrix.matrix, model.model, training.train, training.evaluate, hot_event.hot_events):
    group.add_command(command)
