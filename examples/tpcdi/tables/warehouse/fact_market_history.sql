select dm_symbol, dm_date, dm_close, dm_high, dm_low, dm_volume,
       max(dm_high) over (partition by dm_symbol order by dm_date
                          range between interval '364 days' preceding and current row) as year_high,
       min(dm_low) over (partition by dm_symbol order by dm_date
                         range between interval '364 days' preceding and current row) as year_low
from daily_market
