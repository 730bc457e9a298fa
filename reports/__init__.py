"""Published numbers, tables and figures made from the run store."""

import pandas as pd

pd.set_option("display.max_colwidth", None)  # notebooks show a reason whole
