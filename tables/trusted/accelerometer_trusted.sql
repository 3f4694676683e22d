select a.user, a.timestamp, a.x, a.y, a.z
from accelerometer_landing a
where exists (select 1 from customer_trusted c where c.email = a.user)
