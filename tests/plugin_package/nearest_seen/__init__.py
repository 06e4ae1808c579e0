"""A method from another package: what a stranger would write."""

import numpy as np

from zslbench import Method, MethodInfo, MethodParams


class NearestSeen(Method):
    """Give a video the class vector of the seen class whose mean feature is nearest."""

    info = MethodInfo(name="nearest-seen", summary="Class vector of the nearest seen class's mean feature.")

    class Params(MethodParams):
        neighbours: int = 3

    def fit(self, seen, classes, target, report):
        x = seen.pooled()
        self._means = np.stack([x[seen.labels == i].mean(axis=0) for i in range(len(classes))])
        self._vectors = classes.vectors

    def score(self, videos, classes):
        x = videos.pooled()
        distance = ((x[:, None, :] - self._means[None]) ** 2).sum(axis=2)
        nearest = np.argsort(distance, axis=1)[:, : self.params.neighbours]
        return self._vectors[nearest].mean(axis=1) @ classes.vectors.T
