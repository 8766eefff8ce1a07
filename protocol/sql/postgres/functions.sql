-- Prints functions.txt's part of what the server says of itself: a built-in is
-- listed as harmless when all its overloads are immutable, and as one that reads
-- when they are immutable or stable. Volatile ones are told apart by hand, in
-- functions.go; what is in neither is not known.
--
--   psql -XAt -f functions.sql >functions.txt
SELECT CASE WHEN bool_and(provolatile = 'i') THEN 'harmless' ELSE 'reads' END || ' ' || proname
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a', 'w')
  -- What only the server itself may call.
  AND NOT prorettype = ANY ('{internal,trigger,event_trigger,language_handler,fdw_handler,table_am_handler,index_am_handler,tsm_handler,cstring}'::regtype[])
  AND NOT proargtypes::oid[] && '{internal,cstring}'::regtype[]::oid[]
  -- These read tables that the statement names in a literal.
  AND proname !~ '^(table|schema|database|cursor|query)_to_xml'
GROUP BY proname
HAVING bool_and(provolatile <> 'v')
ORDER BY proname COLLATE "C";
