package sallyport_test

import data.sallyport

statement(effects, relation) := {"kind": "statement", "statement": {"effects": effects, "relations": [{"schema": "public", "name": relation}], "unsure": false}}

# A Saturday and a Monday.
saturday := time.parse_rfc3339_ns("2026-11-28T12:00:00Z")

monday := time.parse_rfc3339_ns("2026-11-30T12:00:00Z")

asked(groups, effects, relation, now) := {
	"identity": {"groups": groups},
	"resource": {"labels": {"env": "prod"}},
	"time": {"now_ns": now},
	"operation": statement(effects, relation),
}

test_reading if sallyport.decision.allow with input as asked([], ["read"], "orders", saturday)

test_deletes if {
	sallyport.decision.rule == "deletes" with input as asked([], ["delete"], "orders", monday)
	sallyport.decision.allow with input as asked(["dba"], ["delete"], "orders", monday)
}

test_weekends if {
	sallyport.decision.rule == "weekends" with input as asked(["dba"], ["update"], "orders", saturday)
	sallyport.decision.allow with input as asked(["dba"], ["update"], "orders", monday)
}

test_salaries if sallyport.decision.rule == "salaries" with input as asked(["dba"], ["read"], "salaries", monday)

test_two_rules if sallyport.decision.rule == "deletes" with input as asked([], ["delete"], "salaries", saturday)
