-- A serial number that the current records of several customers claim (a device passed on) identifies nobody:
-- its readings stay out, even if all of them consent. Current records are those of all customers, consenting or not.
select s.sensorreadingtime, s.serialnumber, s.distancefromobject
from step_trainer_landing s
where exists (select 1 from customers_curated c where c.serialnumber = s.serialnumber)
  and exists (
    select 1
    from (
        select r.serialnumber
        from (
            select
                l.serialnumber,
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
        group by r.serialnumber
        having count(*) = 1
    ) o
    where o.serialnumber = s.serialnumber
  )
