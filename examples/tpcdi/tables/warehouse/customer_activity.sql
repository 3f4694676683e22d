select c_tier, trades, count(*) as customers, sum(amount) as amount
from (
    select a_customer, max(c_tier) as c_tier, count(*) as trades, sum(amount) as amount
    from dim_trade
    group by a_customer
) c
group by c_tier, trades
