select p_city, p_income / 50000 as income_class, p_cars, count(*) as prospects, sum(p_credit) as credit, max(p_age) as oldest
from prospect
group by p_city, p_income / 50000, p_cars
