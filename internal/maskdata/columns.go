package maskdata

import (
	"fmt"
	"strconv"
	"strings"
)

// Column is a column of a table, some of its values, and what it holds: "" is
// nothing sensitive.
type Column struct {
	Name, DBType string
	Values       []string
	Type         string
}

// Column returns a column whose name tells what it holds, tells something else,
// or tells nothing.
func (m *Maker) Column() Column {
	n := 5 + m.r.IntN(40)
	c := Column{DBType: m.one("text", "varchar", "varchar(255)", "character varying")}
	fill := func(make func() string) {
		for range n {
			c.Values = append(c.Values, make())
		}
	}
	vague := m.one("value", "c1", "field_7", "col_b", "data", "attr", "x", "info", "payload", "extra")
	name := func(names ...string) {
		c.Name = pick(m, names)
		if m.chance(25) {
			c.Name = vague
		}
		switch m.r.IntN(5) {
		case 0:
			c.Name = strings.ToUpper(c.Name)
		case 1:
			parts := strings.Split(c.Name, "_")
			for i := 1; i < len(parts); i++ {
				if parts[i] != "" {
					parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
				}
			}
			c.Name = strings.Join(parts, "")
		}
	}
	if m.chance(50) {
		m.sensitiveColumn(&c, name, fill)
	} else {
		m.plainColumn(&c, fill)
	}
	return c
}

func (m *Maker) sensitiveColumn(c *Column, name func(...string), fill func(func() string)) {
	byName := func(names ...string) { c.Name = pick(m, names) }
	kindOf := func(typ string) *kind {
		for _, list := range [][]kind{otherKinds, idKinds} {
			for i := range list {
				if list[i].typ == typ {
					return &list[i]
				}
			}
		}
		panic(typ)
	}
	value := func(typ string) func() string {
		return func() string { return strings.ReplaceAll(kindOf(typ).make(m), "~", "-") }
	}
	switch m.r.IntN(20) {
	case 0, 1:
		c.Type = "EMAIL_ADDRESS"
		name("email", "user_email", "contact_email", "e_mail", "email_address", "login", "mail")
		fill(m.email)
	case 2:
		c.Type = "PHONE_NUMBER"
		name("phone", "phone_number", "mobile", "home_phone", "tel", "contact_no", "work_phone")
		fill(func() string { return m.fill(pick(m, phoneForms)) })
	case 3:
		c.Type = "PHONE_NUMBER"
		byName("phone", "mobile_number", "telephone", "cell_phone", "fax")
		c.DBType = m.one("text", "bigint")
		fill(func() string { return m.fill("NN#NN#####") })
	case 4:
		c.Type = "CREDIT_CARD"
		name("card_number", "cc_number", "pan", "credit_card", "card_no")
		fill(func() string {
			return until(func() string { s := m.card(); return map[bool]string{true: "", false: s}[weakCard(s)] })
		})
	case 5:
		c.Type = "US_SSN"
		name("ssn", "social_security_number", "ssn_raw", "emp_ssn")
		fill(func() string { return strings.NewReplacer(" ", "-", ".", "-").Replace(value("US_SSN")()) })
	case 6:
		c.Type = "US_SSN"
		byName("ssn", "social_security_number", "customer_ssn")
		c.DBType = m.one("text", "integer")
		fill(func() string { return m.fill("1!#!!####") })
	case 7:
		c.Type = "IBAN_CODE"
		name("iban", "bank_iban", "payee_iban")
		fill(m.ibanText)
	case 8:
		c.Type = "DATE_OF_BIRTH"
		byName("dob", "date_of_birth", "birth_date", "birthday")
		c.DBType = m.one("date", "text", "timestamp")
		fill(func() string { y, mo, d := m.date(); return y + "-" + mo + "-" + d })
	case 9:
		c.Type = "IP_ADDRESS"
		name("ip", "ip_address", "client_ip", "last_login_ip", "remote_addr")
		c.DBType = m.one("inet", "text", "varchar(45)")
		fill(m.ipv4)
	case 10:
		c.Type = "PERSON"
		name("full_name", "name", "customer_name", "patient_name", "contact", "author")
		fill(func() string { return pick(m, m.v.Given) + " " + pick(m, m.v.Family) })
	case 11:
		c.Type = "PERSON"
		byName("first_name", "last_name", "surname", "fname", "middle_name", "given_name")
		fill(func() string { return pick(m, m.v.Given) })
	case 12:
		c.Type = "STREET_ADDRESS"
		byName("address", "street", "street_address", "home_address", "billing_address", "addr1")
		fill(m.street)
	case 13:
		c.Type = "PASSWORD"
		byName("password", "passwd", "password_hash", "user_password", "pwd")
		fill(func() string { return m.one("$2a$12$"+m.of(alnum, 53), m.password()) })
	case 14:
		c.Type = "SECRET"
		byName("api_key", "access_token", "secret", "auth_token", "client_secret", "refresh_token")
		fill(func() string { return m.of(alnum, 32) })
	case 15:
		c.Type = "MAC_ADDRESS"
		name("mac", "mac_address", "device_mac")
		fill(func() string { return strings.ReplaceAll(group(m.of(lowerHex, 12), ":", 2, 2, 2, 2, 2, 2), "::", ":") })
	case 16:
		c.Type = "PASSPORT"
		byName("passport", "passport_number", "passport_no")
		fill(func() string { return m.fill("?########") })
	case 17:
		c.Type = "BANK_ACCOUNT"
		byName("account_number", "bank_account", "acct_no")
		fill(func() string { return m.digits(10) })
	case 18:
		c.Type = m.one("BR_CPF", "PL_PESEL", "ES_NIF", "UK_NINO", "KR_RRN", "CN_ID", "IN_PAN")
		name(kindOf(c.Type).keys...)
		if kindOf(c.Type).weak {
			c.Name = kindOf(c.Type).keys[0]
		}
		fill(value(c.Type))
	case 19:
		c.Type = "CRYPTO"
		name("wallet", "btc_address", "payout_wallet")
		fill(func() string { return m.base58Address(0) })
	}
	for i := range c.Values {
		if m.chance(6) {
			c.Values[i] = ""
		} else if m.chance(3) {
			c.Values[i] = m.one("n/a", "unknown", "-")
		}
	}
}

func (m *Maker) plainColumn(c *Column, fill func(func() string)) {
	set := func(name, dbType string, make func() string) {
		c.Name, c.DBType = name, dbType
		fill(make)
	}
	words := func(list ...string) func() string { return func() string { return pick(m, list) } }
	serial := m.r.IntN(1e6)
	switch m.r.IntN(30) {
	case 0:
		set(m.one("id", "order_id", "user_id", "account_id", "phone_id", "address_id"), m.one("bigint", "integer"), func() string { serial++; return strconv.Itoa(serial) })
	case 1:
		set(m.one("id", "uuid", "request_id", "trace_id", "session_ref"), m.one("uuid", "text"), m.uuid)
	case 2:
		set(m.one("status", "state", "order_status"), "text", words("pending", "shipped", "delivered", "returned", "Open", "Closed"))
	case 3:
		set(m.one("created_at", "updated_at", "last_login", "password_changed_at", "email_sent_at"), "timestamp", func() string { return "2024-0" + m.fill("!") + "-1" + m.digits(1) + " 10:" + "2" + m.digits(1) + ":00" })
	case 4:
		set(m.one("order_date", "due_date", "start_date", "hire_date"), "date", func() string { return "2024-0" + m.fill("!") + "-1" + m.digits(1) })
	case 5:
		set(m.one("price", "amount", "total", "balance", "salary_band"), "numeric", func() string { return m.fill("!##") + "." + m.digits(2) })
	case 6:
		set(m.one("sku", "product_code", "part_number", "item_no"), "text", func() string { return m.fill("??-#####") })
	case 7:
		set(m.one("order_number", "invoice_no", "tracking", "reference"), "text", func() string { return m.one("ORD", "INV") + m.digits(8) })
	case 8:
		set(m.one("order_number", "invoice_number", "ticket_number"), m.one("text", "bigint"), func() string { return m.fill("!#########") })
	case 9:
		set(m.one("sha256", "checksum", "file_hash", "etag", "commit"), "text", func() string { return m.of(lowerHex, 64) })
	case 10:
		set(m.one("version", "app_version", "firmware"), "text", func() string { return m.fill("!.#.##") })
	case 11:
		set(m.one("country_code", "currency", "lang", "locale"), m.one("char(2)", "text"), words("US", "DE", "FR", "GB", "PL"))
	case 12:
		set(m.one("email_verified", "phone_verified", "has_password", "is_active", "email_opt_in"), "boolean", words("t", "f", "true", "false"))
	case 13:
		set(m.one("product_name", "title", "item", "description"), "text", words("Blue Cotton Shirt", "Wireless Mouse", "Garden Chair", "Steel Bottle", "Running Shoes", "Desk Lamp", "Coffee Maker", "Paper Towels"))
	case 14:
		set(m.one("quantity", "qty", "count", "rank", "token_count", "age"), "integer", func() string { return strconv.Itoa(m.r.IntN(100)) })
	case 15:
		set(m.one("latitude", "lng", "weight", "ratio"), "double precision", func() string { return m.fill("!#.######") })
	case 16:
		set(m.one("url", "homepage", "image_url", "webhook_url"), "text", func() string { return "https://example.com/" + m.of(lowerAlnum, 8) + "/" + m.digits(4) })
	case 17:
		set(m.one("zip_code", "postal_code", "zip"), "text", func() string { return m.digits(5) })
	case 18:
		set(m.one("license", "license_type", "package_license"), "text", words("MIT", "Apache-2.0", "BSD-3-Clause", "GPL-3.0", "MPL-2.0"))
	case 19:
		set(m.one("memory_address", "address", "offset"), "text", func() string { return "0x7ffe" + m.of(lowerHex, 8) })
	case 20:
		set(m.one("email_count", "phone_count", "password_attempts", "token"), "integer", func() string { return strconv.Itoa(m.r.IntN(9000)) })
	case 21:
		set(m.one("epoch", "created_ts", "ts"), "bigint", func() string { return fmt.Sprint(1500000000 + m.r.IntN(3e8)) })
	case 22:
		set(m.one("snowflake", "message_id", "event_id"), "bigint", func() string { return fmt.Sprint(1<<60 + m.r.Int64N(1<<59)) })
	case 23:
		set(m.one("comment", "note", "remarks"), "text", words("customer asked for a refund", "left at the front desk", "will call back later", "no answer so far", "item was damaged"))
	case 24:
		set(m.one("department", "category", "color", "size", "plan"), "text", words("Sales", "Engineering", "Red", "Large", "Premium", "Marketing", "Green"))
	case 25:
		set(m.one("company", "vendor", "supplier"), "text", func() string {
			return m.one("Acme", "Globex", "Initech", "Umbrella", "Hooli") + " " + m.one("Inc", "LLC", "GmbH", "Corp")
		})
	case 26:
		set(m.one("city", "region"), "text", words("London", "Berlin", "Austin", "Paris", "Madrid", "Charlotte"))
	case 27:
		set(m.one("isbn", "ean", "upc"), "text", func() string { return "978" + m.digits(10) })
	case 28:
		set(m.one("duration_ms", "size_bytes", "port"), "integer", func() string { return strconv.Itoa(m.r.IntN(1e6)) })
	case 29:
		set(m.one("address_type", "phone_type", "card_type", "email_type", "id_type", "account_type"), "text", words("home", "work", "visa", "primary", "savings", "passport"))
	}
}
