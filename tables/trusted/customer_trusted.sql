-- Each customer's newest record, and only if it consents. The order is total, so that every engine picks the same
-- record; where two are equally new, the one that refuses comes first.
select
    r.customername,
    r.email,
    r.phone,
    r.birthday,
    r.serialnumber,
    r.registrationdate,
    r.lastupdatedate,
    r.sharewithresearchasofdate,
    r.sharewithpublicasofdate,
    r.sharewithfriendsasofdate
from (
    select
        l.customername,
        l.email,
        l.phone,
        l.birthday,
        l.serialnumber,
        l.registrationdate,
        l.lastupdatedate,
        l.sharewithresearchasofdate,
        l.sharewithpublicasofdate,
        l.sharewithfriendsasofdate,
        row_number() over (
            partition by l.email
            order by
                l.lastupdatedate desc nulls last,
                case when l.sharewithresearchasofdate is null then 0 else 1 end asc nulls last,
                l.source_file asc nulls last,
                l.source_offset asc nulls last
        ) as newest
    from customer_landing l
) r
where r.newest = 1
  and r.sharewithresearchasofdate is not null
