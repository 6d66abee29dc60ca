"""Classifiers that are trained in a worker: softmax regression on hashed features, with numpy alone."""
