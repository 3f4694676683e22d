-- Joined through the customer: two strangers may well exercise in the same millisecond.
select s.sensorreadingtime, s.serialnumber, s.distancefromobject, a.x, a.y, a.z
from step_trainer_trusted s
join customers_curated c on c.serialnumber = s.serialnumber
join accelerometer_trusted a on a.user = c.email and a.timestamp = s.sensorreadingtime
