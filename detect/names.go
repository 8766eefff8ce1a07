package detect

import "strings"

// Statistics is the type of the values that a database keeps about a column's
// contents, such as pg_stats.most_common_vals.
const Statistics Type = "COLUMN_STATISTICS"

// nameHints says of what type the columns of a name are. Names are in lower
// case, letters only; a column's name is compared whole and by its last parts,
// so that billing_email is an email and email_verified is not. An empty type
// says that the name means something else.
var nameHints = func() map[string]Type {
	m := map[string]Type{}
	for t, names := range map[Type]string{
		Email:    "email emails emailaddress emailaddr mailaddress useremail",
		Phone:    "phone phonenumber phoneno telephone telephonenumber mobile mobilenumber mobilephone cellphone cellnumber fax faxnumber msisdn phones",
		Card:     "cardnumber creditcard creditcardnumber ccnumber ccnum cardno primaryaccountnumber debitcard cardpan",
		CardCode: "cvv cvc cvvcode cvccode cardcvv cardcvc securitycode",
		IBAN:     "iban ibannumber", BankAccount: "bankaccount bankaccountnumber accountnumber accountno acctno acctnumber routingnumber",
		USSSN:      "ssn socialsecurity socialsecuritynumber socialsecurityno ssnnumber",
		NationalID: "nationalid nationalidnumber taxid taxnumber taxidnumber tin nino personalid identitynumber governmentid",
		USITIN:     "itin", UKNHS: "nhsnumber nhsno", BRCPF: "cpf", BRCNPJ: "cnpj", ESNIF: "dni", PLPESEL: "pesel", NLBSN: "bsn", INAadhaar: "aadhaar aadhar aadhaarnumber", MXCURP: "curp",
		DETaxID: "steuerid", ITFiscal: "codicefiscale", SEPersonnr: "personnummer", NOFodselsnr: "fodselsnummer", KRRRN: "rrn", SGNRIC: "nric", ARCUIT: "cuit", CLRUT: "rut",
		Passport:  "passport passportnumber passportno passportid",
		License:   "driverslicense driverlicense driverslicensenumber driverlicensenumber driverslicence licensenumber drivinglicence",
		BirthDate: "dob birthdate dateofbirth birthday birthdt borndate geburtsdatum",
		Person: "firstname lastname forename fullname surname middlename givenname familyname maidenname fname lname patientname cardholder cardholdername " +
			"customername personname contactname mothersmaidenname vorname nachname familienname prenom prénom nomdefamille apellido apellidos " +
			"cognome imie imię nazwisko voornaam achternaam fornamn förnamn efternamn fornavn etternavn sobrenome nomecompleto nombrecompleto resident passengername guestname " +
			"姓名 氏名 名前 이름 성명 имя фамилия фио отчество",
		Address:  "address addressline streetaddress street homeaddress postaladdress mailingaddress shippingaddress billingaddress addr",
		Password: "password passwd pwd pw rolpassword userpassword authenticationstring passwordverifier passwordhash passwordsalt passwordencrypted hashedpassword encryptedpassword passphrase passcode pinhash",
		Secret: "secret secretkey apikey apisecret accesstoken refreshtoken authtoken sessiontoken bearertoken clientsecret privatekey totpsecret " +
			"otpsecret mfasecret secretaccesskey signingkey encryptionkey webhooksecret resettoken csrftoken token",
		Statistics: "mostcommonvals mostcommonelems histogrambounds stavalues rangeboundshistogram",
		"":         "ipaddress macaddress emailtype walletaddress serveraddress clientaddr clientaddress hostaddress memoryaddress inetclientaddr inetserveraddr",
	} {
		for _, n := range strings.Fields(names) {
			m[n] = t
		}
	}
	return m
}()

// nameEndings are last parts that change nothing about what a name means, as in
// ssn_raw.
var nameEndings = map[string]bool{
	"n": true, "no": true, "nr": true, "num": true, "number": true, "int": true, "str": true, "text": true, "txt": true, "raw": true, "value": true, "val": true,
	"digits": true, "plain": true, "enc": true, "encrypted": true, "hash": true, "hashed": true, "old": true, "new": true, "tmp": true, "bak": true, "last": true,
	"clear": true, "formatted": true, "normalized": true, "normalised": true, "lower": true, "upper": true, "primary": true, "secondary": true, "home": true, "work": true,
}

// nameParts are the parts of a name that are compared together, at most.
const nameParts = 5

// TypeOfName returns the type that columns of that name hold, and whether the
// name says so.
func (p *Detector) TypeOfName(name string) (Type, bool) {
	if len(name) > 128 {
		return "", false
	}
	var flat [128]byte
	var starts [nameParts]int // where the last parts begin in flat, the last first
	n, parts, wasLower, inPart := 0, 0, false, false
	begin := func() {
		copy(starts[1:], starts[:])
		starts[0] = n
		parts++
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case isLower(c), c >= 0x80:
			if !inPart {
				begin()
			}
			flat[n] = c
			wasLower, inPart = true, true
		case isUpper(c):
			if !inPart || wasLower {
				begin()
			}
			flat[n] = c | 0x20
			wasLower, inPart = false, true
		default:
			inPart, wasLower = false, false
			continue
		}
		n++
	}
	known := starts[:min(parts, nameParts)]
	for {
		for k := len(known) - 1; k >= 0; k-- { // the longest first
			if t, ok := p.named[string(flat[known[k]:n])]; ok {
				return t, true
			}
			if t, ok := nameHints[string(flat[known[k]:n])]; ok {
				return t, t != ""
			}
		}
		if len(known) < 2 || !nameEndings[string(flat[known[0]:n])] {
			return "", false
		}
		n, known = known[0], known[1:]
	}
}
