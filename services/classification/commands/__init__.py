"""Commands of classification alone."""

import click

from services.classification.commands import matrix, model, training

group = click.Group("classification")
for command in (matrix.matrix, model.model, training.train, training.evaluate):
    group.add_command(command)
