select b_branch, count(distinct a_customer) as customers, count(distinct t_symbol) as securities, sum(t_fee) as fees
from dim_trade
group by b_branch
