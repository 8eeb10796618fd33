"""Pictures: the report of a training run, and what backpropagation does.

Everything draws from arrays and returns a Matplotlib figure (``figure.savefig("name.png")``; a notebook shows it by
itself). Matplotlib (``pip install "pycnn[train]"``) is imported when something is drawn.
"""

from pycnn._plot_backprop import (
    Step,
    conv_as_matrix,
    draw_batch_norm,
    draw_conv_backward,
    draw_conv_matrix,
    draw_gradient_flow,
    draw_im2col,
    draw_layers,
    draw_linear,
    draw_pooling,
    draw_reads,
    draw_shift,
    draw_ties,
    trace_gradients,
)
from pycnn._plot_report import draw_filters, new_figure, save_figure, training_report

__all__ = [
    "Step",
    "conv_as_matrix",
    "draw_batch_norm",
    "draw_conv_backward",
    "draw_conv_matrix",
    "draw_filters",
    "draw_gradient_flow",
    "draw_im2col",
    "draw_layers",
    "draw_linear",
    "draw_pooling",
    "draw_reads",
    "draw_shift",
    "draw_ties",
    "new_figure",
    "save_figure",
    "trace_gradients",
    "training_report",
]
