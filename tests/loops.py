"""Definitions written out as loops, for tests of several methods."""

import numpy as np


def laplacian_by_loop(x, k):
    """Normalised Laplacian of the symmetrised k-nearest-neighbour graph, from its definition."""
    n = len(x)
    graph = np.zeros((n, n))
    for i in range(n):
        order = [j for j in np.argsort([np.sum((x[i] - x[j]) ** 2) for j in range(n)]) if j != i]
        graph[i, order[:k]] = 1
    graph = np.maximum(graph, graph.T)
    degree = graph.sum(axis=1)
    return np.eye(n) - graph / np.sqrt(np.outer(degree, degree))


def numeric_gradient(loss, weight, step=1e-6):
    """Return the gradient of ``loss(weight)`` by central differences; float64 keeps about nine digits of it."""
    found = np.empty(weight.shape)
    for place in np.ndindex(*weight.shape):
        change = np.zeros(weight.shape)
        change[place] = step
        found[place] = (loss(weight + change) - loss(weight - change)) / (2 * step)
    return found
