"""A real job: find the best support vector classifier for scikit-learn's 1,797 handwritten digits, by grid search.

Every input is one setting, judged by 5-fold cross-validation. Needs scikit-learn: `pip install '.[digits]'`.
"""

import itertools
import time

import swell as modal

app = modal.App("digits")

COSTS = [0.1, 0.3, 1, 3, 10, 30, 100]
GAMMAS = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03]


@app.function(scaledown_window=10)
def score(c: float, gamma: float) -> float:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import cross_val_score
    from sklearn.svm import SVC

    images, labels = load_digits(return_X_y=True)
    return float(cross_val_score(SVC(C=c, gamma=gamma), images, labels, cv=5).mean())


@app.local_entrypoint()
def main():
    settings = list(itertools.product(COSTS, GAMMAS))
    started, best = time.perf_counter(), (0.0, settings[0])
    for done, (setting, accuracy) in enumerate(zip(settings, score.starmap(settings), strict=True), start=1):
        best = max(best, (accuracy, setting), key=lambda pair: pair[0])
        print(f"{done:2}/{len(settings)}  C={setting[0]:<5} gamma={setting[1]:<7} accuracy {accuracy:.4f}")
    accuracy, (c, gamma) = best
    took = time.perf_counter() - started
    print(f"Best of {len(settings)} settings in {took:.1f} s: C={c}, gamma={gamma} with accuracy {accuracy:.4f}")
