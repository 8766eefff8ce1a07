package compliance

// Texts are in words of our own; the standards have their own. What every control needs besides is in [Limits].

const (
	yourReview   = "Who reads the logs, how often, and what followed from it."
	yourAccess   = "Who confirmed that each person still needs the access that is listed, and when. Who left or changed duties, and when the gateway was told."
	yourSystems  = "Accounts and paths that do not go through the gateway."
	yourProvider = "How the identity provider names, creates and removes people, and which factors it asks for."
)

func pci4() Framework {
	return Framework{"pci4", "PCI DSS v4.0.1", []Control{
		{"7.2.1, 7.2.2, 7.2.3, 7.3.1, 7.3.2, 7.3.3", "Access follows a model of roles with the least privilege, is approved where it is privileged, and is denied by default.", []Kind{Decisions, Requests, Entitlement, Changes}, "The roles and duties that the rules were made from. " + yourSystems},
		{"7.2.4", "User accounts and their access are reviewed at least every six months.", []Kind{Entitlement}, yourAccess},
		{"7.2.5, 8.6.1, 8.6.2, 8.6.3", "Accounts of applications and systems are limited, used interactively only by exception, and their secrets are protected and changed.", []Kind{Requests, Credentials}, "The inventory of these accounts, and how often their secrets are changed at the source."},
		{"7.2.6", "People query repositories of card data only by controlled means.", []Kind{Decisions, Sessions, Masking}, "Which resources hold card data, and that nobody reaches them in another way."},
		{"8.2.1, 8.2.2, 8.2.4, 8.2.5, 8.2.6", "Each person has an identifier of her own. Shared ones are exceptions; adding, changing and removing is authorised; leavers lose access at once, and unused accounts are disabled.", []Kind{Entitlement, Credentials, Logins, Termination}, yourProvider + " The list of leavers with their dates."},
		{"8.2.8, 8.4.1, 8.4.2", "Idle people prove themselves again, and access takes more than one factor.", []Kind{Logins, Sessions}, yourProvider},
		{"10.2.1.1 to 10.2.1.7, 10.2.2", "Individual access, administrators' actions, access to logs, invalid attempts, changes of credentials, starts and stops of logging, and changes of objects are logged, each with who, what, when, where from and with which result.", []Kind{Decisions, Sessions, Oversight, Logins, Changes, Health}, yourSystems},
		{"10.3.1, 10.3.2, 10.3.3, 10.3.4", "Logs are read by those only who need to, cannot be altered, are kept elsewhere too, and a change is noticed.", []Kind{Oversight, Integrity}, "Where copies and checkpoints are kept, and who may reach them."},
		{"10.4.1, 10.4.1.1, 10.4.2, 10.4.3", "Logs are reviewed daily, by automated means, and what is found is followed up.", []Kind{Oversight}, yourReview},
		{"10.5.1", "Logs are kept for twelve months, of which three at hand.", []Kind{Retention, Integrity}, "The retention that was configured for the whole year."},
		{"10.6.1, 10.6.2, 10.6.3, 10.7.1, 10.7.2, 10.7.3", "Clocks agree, and failures of controls are noticed and answered.", []Kind{Health}, "How the clock of the gateway's machine is set. Who was told of failures, and what was done."},
	}}
}

func soc2() Framework {
	return Framework{"soc2", "SOC 2, Trust Services Criteria 2017", []Control{
		{"CC6.1", "Logical access to what is protected is restricted.", []Kind{Decisions, Sessions, Entitlement, Logins, Integrity}, yourSystems},
		{"CC6.2", "People are registered and authorised before they are given access.", []Kind{Requests, Entitlement, Logins}, yourProvider},
		{"CC6.3", "Access is given, changed and removed by roles, with the least privilege and separated duties.", []Kind{Requests, Entitlement, Changes, Termination}, yourAccess},
		{"CC6.6", "What is protected is kept from those outside of its boundaries.", []Kind{Decisions, Logins}, "Networks and firewalls around the gateway and its resources."},
		{"CC6.7", "Moving and releasing data is restricted to those who may.", []Kind{Decisions, Masking, Oversight}, "How data is protected once a client has it."},
		{"CC7.2", "Components are monitored for what is unusual.", []Kind{Decisions, Health, Logins, Termination}, yourReview},
		{"CC7.3, CC7.4", "Security events are evaluated, and incidents are answered.", []Kind{Oversight, Termination, Emergency}, "The incidents of the period and how they were handled."},
		{"CC8.1", "Changes are authorised, tested and approved before they are made.", []Kind{Changes, Requests}, "Changes of the config file, which the gateway sees only once they are in force; tests of changes."},
		{"C1.2", "Confidential information is disposed of.", []Kind{Retention}, "The rules by which it is to be disposed of; copies elsewhere."},
	}}
}

func iso27001() Framework {
	return Framework{"iso27001", "ISO/IEC 27001:2022, annex A", []Control{
		{"A.5.15", "There are rules of access, and they are kept.", []Kind{Decisions, Entitlement, Changes}, "The policy on access. " + yourSystems},
		{"A.5.16", "Identities are managed over their whole life.", []Kind{Entitlement, Logins, Termination}, yourProvider},
		{"A.5.17", "Information for authentication is managed and protected.", []Kind{Logins, Credentials}, yourProvider},
		{"A.5.18", "Rights of access are given, reviewed, changed and removed.", []Kind{Requests, Entitlement, Termination}, yourAccess},
		{"A.5.28", "Evidence of events is identified, collected and kept.", []Kind{Sessions, Integrity}, "Who keeps this evidence, and where."},
		{"A.5.33", "Records are protected from loss, falsification and access by others.", []Kind{Integrity, Retention, Oversight}, "Where copies and checkpoints are kept."},
		{"A.8.2", "Privileged rights are restricted and managed.", []Kind{Decisions, Requests, Entitlement, Emergency}, yourAccess},
		{"A.8.3", "Access to information is restricted by the policy.", []Kind{Decisions, Entitlement, Masking}, yourSystems},
		{"A.8.5", "Authentication is secure.", []Kind{Logins}, yourProvider},
		{"A.8.11", "Data is masked by the policy.", []Kind{Masking}, "Which data is to be masked, and that the rules name all of it."},
		{"A.8.15", "Logs of activities, exceptions and faults are made, kept, protected and analysed.", []Kind{Decisions, Sessions, Logins, Oversight, Integrity}, yourReview},
		{"A.8.16", "Systems are monitored for what is unusual.", []Kind{Decisions, Health, Termination}, yourReview},
		{"A.8.17", "Clocks agree.", []Kind{Health}, "How the clock of the gateway's machine is set."},
		{"A.8.18", "Privileged utilities are restricted and controlled.", []Kind{Decisions, Sessions, Requests}, yourSystems},
		{"A.8.32", "Changes are managed.", []Kind{Changes}, "Changes of the config file before they came into force; tests of changes."},
	}}
}

func hipaa() Framework {
	return Framework{"hipaa", "HIPAA security rule, 45 CFR part 164", []Control{
		{"164.308(a)(1)(ii)(D)", "Activity in information systems is reviewed.", []Kind{Oversight, Decisions}, yourReview},
		{"164.308(a)(3)(ii)(C)", "Access ends when employment ends.", []Kind{Termination, Entitlement}, "The list of leavers with their dates."},
		{"164.308(a)(5)(ii)(C)", "Logins are monitored.", []Kind{Logins}, yourReview},
		{"164.312(a)(1)", "Only persons and programs that were granted rights have access.", []Kind{Decisions, Entitlement, Requests}, yourSystems},
		{"164.312(a)(2)(i)", "Each user is identified uniquely.", []Kind{Logins, Sessions, Entitlement}, yourProvider},
		{"164.312(a)(2)(ii)", "There is a procedure for access in an emergency.", []Kind{Emergency}, "The procedure itself, and that people know it."},
		{"164.312(b)", "Activity is recorded and examined.", []Kind{Sessions, Decisions, Health}, yourReview},
		{"164.312(c)(1)", "Information is protected from improper alteration.", []Kind{Integrity, Decisions}, "The integrity of the data in the resources themselves."},
		{"164.312(d)", "Who seeks access is who she claims to be.", []Kind{Logins}, yourProvider},
		{"164.312(e)(1)", "Information is guarded while it is transmitted.", []Kind{Changes, Sessions}, "The configuration of TLS at the gateway and at its resources."},
		{"164.316(b)(2)(i)", "Documentation is kept for six years.", []Kind{Retention}, "The retention that was configured over the years."},
	}}
}

func nist80053() Framework {
	return Framework{"nist80053", "NIST SP 800-53 rev. 5", []Control{
		{"AC-2, AC-2(5), AC-2(11), AC-2(13)", "Accounts are managed; conditions of use are enforced, and those of high risk are disabled.", []Kind{Entitlement, Requests, Termination}, yourAccess},
		{"AC-3, AC-3(2), AC-3(8), AC-3(10)", "Access is enforced, by two persons where asked; it is revoked, and overrides are audited.", []Kind{Decisions, Requests, Termination, Emergency}, yourSystems},
		{"AC-5", "Duties are separated.", []Kind{Requests, Changes, Entitlement}, "Which duties are to be separated."},
		{"AC-6(9)", "The use of privileged functions is logged.", []Kind{Decisions, Sessions}, yourSystems},
		{"AC-10, AC-12, SC-10", "Concurrent sessions are limited, and sessions end.", []Kind{Sessions, Decisions, Termination}, ""},
		{"AC-17(1)", "Remote access is monitored and controlled.", []Kind{Sessions, Decisions}, yourSystems},
		{"AU-2, AU-3, AU-3(1), AU-12(1), AU-12(3), AU-14", "Events are logged with what is needed to know what happened, correlated over the system; sessions can be audited.", []Kind{Decisions, Sessions, Logins}, "Which events were chosen, and why. " + yourSystems},
		{"AU-5, AU-5(2)", "Failures of logging are answered, and alerted at once.", []Kind{Health}, "Who was told, and what was done."},
		{"AU-7(1)", "Records can be searched and reported on.", []Kind{Oversight}, yourReview},
		{"AU-8", "Records have times of a clock that is set.", []Kind{Health}, "How the clock of the gateway's machine is set."},
		{"AU-9(2), AU-9(3), AU-9(4), AU-10", "Records are kept apart, protected by cryptography and from most administrators, and cannot be denied.", []Kind{Integrity, Oversight}, "Where copies and checkpoints are kept, and who may reach them."},
		{"AU-11", "Records are kept.", []Kind{Retention}, "The retention that was configured, and why."},
		{"CM-3, CM-5", "Changes are controlled, and who may make them is restricted.", []Kind{Changes}, "Changes of the config file before they came into force; tests of changes."},
		{"IA-2(1)", "Privileged accounts take more than one factor.", []Kind{Logins}, yourProvider},
		{"SC-12, SC-28(1)", "Keys are managed, and what is stored is encrypted.", []Kind{Credentials, Integrity}, "Where the keys of the records are kept."},
		{"SI-10", "What is put in is checked.", []Kind{Decisions}, "Checks in the applications themselves."},
	}}
}

func gdpr() Framework {
	return Framework{"gdpr", "GDPR, Regulation (EU) 2016/679", []Control{
		{"Art. 5(1)(c), 25", "No more personal data is processed than is needed, by design and by default.", []Kind{Masking, Decisions}, "Which data is personal, and for what it is needed."},
		{"Art. 5(1)(e), 17", "Personal data is kept no longer than needed, and erased when somebody asks rightly.", []Kind{Retention}, "The requests of data subjects and how they were answered; data in the resources themselves."},
		{"Art. 15, 30", "It is known who processes which data, and told to the people it concerns.", []Kind{Decisions, Sessions}, "The record of processing activities."},
		{"Art. 32", "Processing is secure, and that is checked.", []Kind{Decisions, Logins, Integrity, Health}, "The assessment of risks. " + yourSystems},
		{"Art. 33", "The scope of a breach is known: who saw whose data.", []Kind{Decisions, Sessions, Masking, Termination}, "Which people the rows are of that were seen: the pack holds no rows."},
	}}
}

// Limits are what no pack proves, whatever the framework.
func Limits() []string {
	return []string{
		"Access that does not go through the gateway is not in this pack.",
		"Users, access and revisions are as they were when the pack was made, not at the end of the period. Access that a rule allows at some hours only is listed as access.",
		"The pack says what the records say. That the gateway recorded everything that it was asked is for the review of the gateway, not for its records to prove.",
		"The public key in this pack is the one in the log. Compare it with a copy that was kept elsewhere: only then nobody can have made another log.",
		"That the log was not set back to an earlier state is proven by checkpoints that were kept elsewhere, which the whole log is verified with.",
		"A pack says of each record of the period whether it is as it was sealed. Records outside of the period are for verifying the whole log.",
		"Texts, arguments and rows of operations are not in the pack. The session's record has them.",
	}
}
