package detect

// numberRecognizers are values made of digits. The earlier wins between equal
// scores. A shape without separators is weak unless its check digits and its
// structure together let fewer than one random number in 400 pass: databases are full of
// plain numbers.
func numberRecognizers() []Recognizer {
	return []Recognizer{
		{
			Type: Card, Score: 90, Context: aboutCard, Digits: validCard,
			Shapes: []string{"4~4~4~4", "4~6~5", "4~6~4", "15", "16", "4~4~4~4~3", "6~13", "4~4~5"}, Weak: []string{"13", "14", "17", "18", "19"},
		},
		{ // the long cards that are common
			Type: Card, Score: 90, Context: aboutCard, Digits: func(d []byte) bool { return d[0] == 6 && d[1] == 2 && validCard(d) }, Shapes: []string{"17", "18", "19"},
		},
		{Type: USSSN, Score: 80, Context: aboutSSN, Digits: validSSN, Shapes: []string{"3-2-4", "3 2 4", "3.2.4"}, Weak: []string{"9"}},
		{Type: USITIN, Score: 82, Context: aboutSSN | aboutTax, Digits: validITIN, Shapes: []string{"3-2-4", "3 2 4"}, Weak: []string{"9"}},
		{Type: UKNHS, Score: 74, Context: aboutNHS | aboutHealth, Digits: validNHS, Shapes: []string{"3 3 4"}, Weak: []string{"3-3-4", "10"}},
		{Type: DETaxID, Score: 72, Context: aboutTax | aboutNational, Digits: validSteuerID, Shapes: []string{"2 3 3 3", "2/3/3/3"}, Weak: []string{"11"}},
		{Type: FRNIR, Score: 85, Context: aboutNIR | aboutSSN, Digits: validNIR, Shapes: []string{"15", "1~2~2~2~3~3~2", "13 2"}},
		{Type: NLBSN, Score: 60, Context: aboutBSN | aboutNational, Digits: validBSN, Weak: []string{"9", "4~2~3", "3~3~3"}},
		{Type: PLPESEL, Score: 70, Context: aboutPESEL | aboutNational, Digits: validPESEL, Weak: []string{"11"}},
		{Type: BRCPF, Score: 75, Context: aboutCPF | aboutNational, Digits: validCPF, Shapes: []string{"3.3.3-2"}, Weak: []string{"11", "9-2", "3 3 3 2"}},
		{Type: BRCNPJ, Score: 78, Context: aboutCPF, Digits: validCNPJ, Shapes: []string{"2.3.3/4-2", "8/4-2"}, Weak: []string{"14"}},
		{Type: INAadhaar, Score: 76, Context: aboutAadhaar | aboutNational, Digits: validAadhaar, Shapes: []string{"4 4 4", "4-4-4"}, Weak: []string{"12"}},
		{Type: CASIN, Score: 70, Context: aboutSIN | aboutSSN, Digits: validSIN, Shapes: []string{"3-3-3", "3 3 3"}, Weak: []string{"9"}},
		{Type: AUTFN, Score: 66, Context: aboutTFN | aboutTax, Digits: validTFN, Weak: []string{"9", "3-3-3", "3 3 3"}},
		{Type: AUABN, Score: 76, Context: aboutABN, Digits: validABN, Shapes: []string{"2 3 3 3"}, Weak: []string{"11"}},
		{Type: AUMedicare, Score: 72, Context: aboutMedicare, Digits: validMedicareAU, Shapes: []string{"4 5 1"}, Weak: []string{"10", "4-5-1"}},
		{Type: KRRRN, Score: 84, Context: aboutNational, Digits: validRRN, Shapes: []string{"6-7"}},
		{Type: KRRRN, Score: 74, Context: aboutNational, Digits: validRRNChecked, Weak: []string{"13"}},
		{Type: CNID, Score: 90, Context: aboutNational, Digits: func(d []byte) bool { return validChineseID(d, int(d[17])) }, Shapes: []string{"18"}},
		{Type: SEPersonnr, Score: 74, Context: aboutPersonnr | aboutNational, Digits: validPersonnummer, Shapes: []string{"6-4", "8-4"}, Weak: []string{"10", "12"}},
		{Type: DKCPR, Score: 64, Context: aboutCPR | aboutNational, Digits: validCPR, Weak: []string{"6-4", "10", "6 4"}},
		{Type: NOFodselsnr, Score: 76, Context: aboutPersonnr | aboutNational, Digits: validFodselsnummer, Shapes: []string{"6 5"}, Weak: []string{"11"}},
		{Type: FIHetu, Score: 76, Context: aboutPersonnr | aboutNational, Digits: validHetuDigits, Shapes: []string{"6-4"}},
		{Type: CHAHV, Score: 90, Context: aboutNational, Digits: validAHV, Shapes: []string{"3.4.4.2", "13", "3 4 4 2"}},
		{Type: BENRN, Score: 78, Context: aboutNational, Digits: validNRN, Shapes: []string{"2.2.2-3.2", "6-3-2"}, Weak: []string{"11"}},
		{Type: PTNIF, Score: 62, Context: aboutTax, Digits: validPTNIF, Weak: []string{"9", "3 3 3"}},
		{Type: CZRC, Score: 78, Context: aboutPersonnr, Digits: validRodneCislo, Shapes: []string{"6/4"}, Weak: []string{"10"}},
		{Type: ZAID, Score: 74, Context: aboutNational, Digits: validZAID, Shapes: []string{"6 4 3"}, Weak: []string{"13"}},
		{Type: TRTCKN, Score: 73, Context: aboutNational, Digits: validTCKN, Weak: []string{"11"}},
		{Type: ILID, Score: 60, Context: aboutTeudat | aboutNational, Digits: validILID, Weak: []string{"9"}},
		{Type: JPMyNumber, Score: 64, Context: aboutMyNumber | aboutNational, Digits: validMyNumber, Weak: []string{"12", "4 4 4", "4-4-4"}},
		{Type: THTNIN, Score: 82, Context: aboutNational, Digits: validThaiID, Shapes: []string{"1-4-5-2-1", "1 4 5 2 1"}, Weak: []string{"13"}},
		{Type: ARCUIT, Score: 76, Context: aboutTax, Digits: validCUIT, Shapes: []string{"2-8-1"}, Weak: []string{"11"}},
		{Type: ROCNP, Score: 74, Context: aboutNational, Digits: validCNP, Weak: []string{"13"}},
		{Type: HROIB, Score: 62, Context: aboutTax | aboutNational, Digits: validOIB, Weak: []string{"11"}},
		{Type: ITVAT, Score: 62, Context: aboutTax, Digits: validPartitaIVA, Weak: []string{"11"}},
		{Type: CLRUT, Score: 76, Context: aboutTax | aboutNational, Digits: validRUT, Shapes: []string{"2.3.3-1", "1.3.3-1"}, Weak: []string{"8-1", "7-1"}},
		{Type: BankAccount, Score: 55, Context: aboutBank, Weak: []string{"8", "9", "10", "11", "12", "13", "14", "15", "16", "17"}},
		{Type: Passport, Score: 55, Context: aboutPassport, Weak: []string{"9", "8"}},
		{Type: License, Score: 52, Context: aboutLicense, Weak: []string{"7", "8", "9", "10", "12"}},
		{Type: BirthDate, Score: 60, Context: aboutBirth, Digits: validYearFirst, Weak: []string{"4-2-2", "4/2/2", "4.2.2", "8"}},
		{Type: BirthDate, Score: 59, Context: aboutBirth, Digits: validShortDate, Weak: []string{"2/2/2", "2.2.2", "2-2-2", "1/2/2", "2/1/2", "1/1/2", "1.1.2", "2.1.2", "1.2.2"}},
		{Type: BirthDate, Score: 60, Context: aboutBirth, Digits: validYearLast, Weak: []string{"2/2/4", "2.2.4", "2-2-4", "1/1/4", "1/2/4", "2/1/4", "1.1.4", "1.2.4", "2.1.4"}},
		{
			Type: Phone, Score: 70, Context: aboutPhone | aboutCall, Digits: validNANP,
			Shapes: []string{"3-3-4", "3 3 4", "3.3.4", "3)3-4", "3)3 4", "3)3.4", "3)7"}, Weak: []string{"10", "3-7"},
		},
		{
			Type: Phone, Score: 71, Context: aboutPhone | aboutCall, Digits: func(d []byte) bool { return d[0] == 1 && validNANP(d[1:]) },
			Shapes: []string{"1-3-3-4", "1 3 3 4", "1.3.3.4", "1(3)3-4", "1(3)3 4"}, Weak: []string{"11"},
		},
		{
			Type: Phone, Score: 72, Context: aboutPhone, Digits: func(d []byte) bool { return d[0] == 1 && d[1] >= 3 && !uniform(d[3:]) },
			Shapes: []string{"3 4 4", "3-4-4"}, Weak: []string{"11"},
		},
		{Type: Phone, Score: 74, Context: aboutPhone, Digits: func(d []byte) bool {
			return (d[0] == 8 || d[0] == 7) && (d[1] == 9 || d[1] == 4 || d[1] == 8) && !uniform(d[4:])
		}, Shapes: []string{
			"1(3)3-2-2", "1 3 3 2 2", "1(3)3 2 2", "1(3)3-4", "1-3-3-2-2", "1 3 3-2-2",
		}, Weak: []string{"11"}},
		{Type: Phone, Score: 74, Context: aboutPhone, Digits: validBrazilianPhone, Shapes: []string{"2)5-4", "2)4-4", "2)9", "2)5 4"}},
		{Type: Phone, Score: 72, Context: aboutPhone, Digits: validTrunk, Shapes: []string{
			"2 2 2 2 2", "2.2.2.2.2", "2-2-2-2-2", "3 4 4", "3-4-4", "5 6", "5 3 3", "4 3 4", "4 3 3", "4-3-3", "2 4 4", "2-4-4", "3)4 4", "5)6",
			"3 7", "3 8", "4 7", "4 6", "4 8", "3/7", "3/8", "4/7", "4/8", "5/6", "3-3-4", "3)3-4", "3 3 3 2", "3 3 4", "2)4 4", "2)4-4", "3)7", "3)8", "4)6", "4)7", "4)5", "5)5", "3)6", "3)3 4", "4 4 3", "4 5 2", "5-6", "4-6", "4-7", "3-7", "3-8", "4)3 2 2", "4 3 2 2", "3 3 2 2", "2-3-4", "2 3 4", "2-8", "2-7", "3-3 2 2", "3-2 2 2", "3-3 3", "2-3 2 2", "2-3 3", "3-6", "1(3)3 2 2", "1(3)3 4", "1(3)3-2-2",
		}, Weak: []string{"9", "10", "11", "12"}},
		{Type: BankAccount, Score: 56, Context: aboutSort, Weak: []string{"2-2-2", "2 2 2", "6"}},
		{Type: Medical, Score: 58, Context: aboutMedical, Digits: func(d []byte) bool { return d[0] == 1 || d[0] == 2 }, Weak: []string{"10"}},
		{Type: Phone, Score: 60, Context: aboutPhone, Digits: func(d []byte) bool { return !uniform(d) }, Weak: []string{
			"3-4", "3 4", "3.4", "3 3 3", "3-3-3", "2 2 2 2", "4 4", "4-4", "3 2 2 2", "2 4 4", "5 5", "5-5", "8", "9", "10", "7", "1-3-3-2-2", "3)3-2-2",
		}},
	}
}

func validNANP(d []byte) bool {
	switch number(d) {
	case 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32: // where numbers of machines end
		return false
	}
	return d[0] >= 2 && d[3] >= 2 && !uniform(d) && !(d[1] == 9 && d[2] == 9)
}

// validTrunk is a national number that is written with its trunk prefix 0.
func validTrunk(d []byte) bool { return d[0] == 0 && d[1] != 0 && !uniform(d[1:]) }

func validBrazilianPhone(d []byte) bool {
	return d[0] >= 1 && d[1] >= 1 && (len(d) == 11 && d[2] == 9 || len(d) == 10 && d[2] >= 2 && d[2] <= 5)
}

// validShortDate takes a day and a month in either order, and a year of two
// digits.
func validShortDate(d []byte) bool {
	d = d[:len(d)-2]
	for split := 1; split < len(d); split++ {
		a, b := number(d[:split]), number(d[split:])
		if validDate(0, a, b) || validDate(0, b, a) {
			return true
		}
	}
	return false
}

func validYearFirst(d []byte) bool {
	y := number(d[:4])
	return y >= 1900 && y < 2100 && validDate(y, number(d[4:6]), number(d[6:8]))
}

// validYearLast takes a day and a month of one or two digits in either order,
// and a year.
func validYearLast(d []byte) bool {
	y := number(d[len(d)-4:])
	d = d[:len(d)-4]
	for split := 1; split < len(d); split++ {
		a, b := number(d[:split]), number(d[split:])
		if len(d)-split <= 2 && (validDate(y, a, b) || validDate(y, b, a)) {
			return y >= 1900 && y < 2100
		}
	}
	return false
}
