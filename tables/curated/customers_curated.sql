select
    c.customername,
    c.email,
    c.phone,
    c.birthday,
    c.serialnumber,
    c.registrationdate,
    c.lastupdatedate,
    c.sharewithresearchasofdate,
    c.sharewithpublicasofdate,
    c.sharewithfriendsasofdate
from customer_trusted c
where exists (select 1 from accelerometer_trusted a where a.user = c.email)
