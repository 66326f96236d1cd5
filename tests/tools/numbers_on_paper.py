"""Counts of predicted numbers without records."""

from wardround.metrics.regression import STEPS, NumberCounts


def errors(records: int, share: float, middle: float = 0.5) -> NumberCounts:
    """Give so many records, each predicted this share of the range too high or, every other one, too low.

    Their values lie around ``middle`` of the range, half of them a tenth of it below, the others as far above.
    """
    each, low, high = round(share * STEPS), round((middle - 0.1) * STEPS), round((middle + 0.1) * STEPS)
    above, below = records - records // 2, records // 2
    return NumberCounts(
        records=records,
        over=above * each,
        under=below * each,
        squares=records * each * each,
        target=above * low + below * high,
        target_squares=above * low * low + below * high * high,
    )
