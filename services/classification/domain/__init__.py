"""The pure part of classification: matrix, rules, features, scorers, training, evaluation."""
