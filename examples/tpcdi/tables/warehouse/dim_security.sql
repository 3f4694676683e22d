select s_symbol, s_company, s_issue, s_exchange, s_shares, s_from as valid_from,
       lead(s_from) over (partition by s_symbol order by s_from, source_file, source_offset) as valid_to
from security
