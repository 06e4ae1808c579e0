"""Methods in a file without an entry point, as a user passes them to zslbench.run."""

import numpy as np

from zslbench import Method, MethodInfo, MethodParams


class Nearest(Method):
    """Give a video the class vectors of the nearest seen classes."""

    info = MethodInfo(name="nearest", summary="Class vectors of the nearest seen classes.")

    class Params(MethodParams):
        """Parameters: neighbours, the number of seen classes."""

        neighbours: int = 3

    def fit(self, seen, classes, target, report):
        x = seen.pooled()
        self.means = np.stack([x[seen.labels == i].mean(axis=0) for i in range(len(classes))])
        self.vectors = classes.vectors

    def score(self, videos, classes):
        distances = ((videos.pooled()[:, None] - self.means) ** 2).sum(axis=2)
        return self.vectors[distances.argsort(axis=1)[:, : self.params.neighbours]].mean(axis=1) @ classes.vectors.T

    def state(self):
        return {"means": self.means, "vectors": self.vectors}

    def restore(self, state):
        self.means, self.vectors = state["means"], state["vectors"]


class Broken(Nearest):
    """Fail in a function of numpy that a function of this file calls."""

    info = MethodInfo(name="broken", summary="Fails.")

    def fit(self, seen, classes, target, report):
        self.multiply(seen.pooled())

    def multiply(self, x):
        return np.linalg.inv(x[:1])  # no square
