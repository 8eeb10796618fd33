"""CASES: for every public function the calls that `test_oracle` compares with the reference."""

import cases_conv
import cases_dense
import cases_loss
import cases_pool
from case import Case

CASES: dict[str, list[Case]] = {
    **cases_conv.CASES,
    **cases_pool.CASES,
    **cases_dense.CASES,
    **cases_loss.CASES,
}
