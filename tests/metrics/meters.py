"""Meters as a site may write them."""

from collections import Counter


class Tally:
    """Keeps everything in memory: by the name of the metric and its labels."""

    def __init__(self):
        self.made = [*getattr(type(self), "made", []), self]
        type(self).made = self.made
        self.values = Counter()

    def count(self, metric, amount, labels):
        self.values[metric.name, *labels.values()] += amount

    change = count

    def set(self, metric, value, labels):
        self.values[metric.name, *labels.values()] = value


class Broken:
    def count(self, metric, amount, labels):
        raise OSError("no space left")

    change = set = count


class Unmade:
    def __init__(self):
        raise OSError("no registry")
