select b_id, b_name, b_branch, b_phone from broker
