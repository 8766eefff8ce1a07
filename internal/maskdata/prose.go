package maskdata

import "strings"

// Prose returns text as people write it, with the names of people, places and
// organisations in it, or with none of them and words that look like some.
func (m *Maker) Prose() Sample {
	list := proseForTests
	if m.training {
		list = proseForTraining
		if more := m.v.Sentences; len(more) > 0 && m.chance(50) {
			list = more
		}
	}
	var b strings.Builder
	var s Sample
	for n := 1 + m.r.IntN(3); n > 0; n-- {
		if b.Len() > 0 {
			b.WriteString(m.one(" ", " ", "\n"))
		}
		s.Spans = m.slots(&b, pick(m, list), s.Spans)
	}
	s.Text = b.String()
	return s
}

// slots writes a sentence with its slots filled.
func (m *Maker) slots(b *strings.Builder, t string, spans []Span) []Span {
	for {
		i := strings.IndexByte(t, '{')
		if i < 0 {
			b.WriteString(t)
			return spans
		}
		b.WriteString(t[:i])
		kind := t[i+1]
		t = t[i+3:]
		v, typ := "", ""
		switch kind {
		case 'P':
			v, typ = m.person(), "PERSON"
		case 'G':
			v, typ = pick(m, m.v.Given), "PERSON"
		case 'F':
			v, typ = pick(m, m.v.Family), "PERSON"
		case 'L':
			v, typ = pick(m, m.v.Places), "LOCATION"
		case 'O':
			v, typ = m.organization(), "ORGANIZATION"
		case 'A':
			v, typ = m.street(), "STREET_ADDRESS"
		case 'D':
			v = pick(m, m.v.Peoples)
		case 'R':
			v, typ = m.cyrillic(), "PERSON"
		case 'K':
			v = m.noun()
		case 'B':
			v = m.one(pick(m, m.v.Labels), pick(m, m.v.Labels), pick(m, m.v.Labels), m.noun())
		case 'w':
			v = pick(m, m.v.Words)
		case 'W':
			v = pick(m, m.v.Words)
			v = strings.ToUpper(v[:1]) + v[1:]
		case 'N':
			v = m.digits(1 + m.r.IntN(4))
		case 'M':
			v = m.one("January", "March", "April", "May", "June", "August", "Monday", "Friday", "Sunday", "October")
		case 'X':
			v = m.one("Windows", "Excel", "Photoshop", "Kubernetes", "Postgres", "Slack", "Python", "Android", "Chrome", "Bluetooth", "Salesforce", "Jira", "Java", "Docker", "Outlook", "Oracle Database", "Power BI", "Google Maps", "Jenkins", "Apollo", "Mercedes", "Ruby", "Swift")
		}
		if typ != "" {
			spans = append(spans, Span{b.Len(), b.Len() + len(v), typ})
		}
		b.WriteString(v)
	}
}

var proseForTraining = strings.Split(strings.TrimSpace(`
Dear {P}, thank you for contacting us about invoice {N}.
Dear Mr. {F}, your appointment on {M} {N} has been moved.
Dear Ms {F}, please find the contract attached.
Hi {G}, can you look at this before {M}?
Hello {G}, the meeting with {P} is at {N}.
Hey {G}! Are you coming on {M}?
Thanks, {G}
Best regards, {P}
Kind regards,
Sincerely, {P}
Cheers, {G}
{P} called about the delayed shipment and asked for a refund.
{P} said that the order never arrived.
{P} is the new manager of the {L} office.
{P} lives in {L} and works for {O}.
{P} and {P} were both at the meeting.
{G} and {G} will handle the migration to {X}.
{P} has been with {O} since {N}.
{P}, who moved from {L} last year, wants to close the account.
{P} reported a problem with {X} on {M} {N}.
{P} was born in {L} and studied at {O}.
{P} (customer since {N}) requested a copy of the invoice.
My name is {P} and I would like to change my address.
My name is {P}.
I am {P} from {O}.
I'm {G}, nice to meet you.
This is {P} calling from {L}.
I spoke with {P} yesterday about the new offer.
I spoke to {G} about it and {G} agreed.
I met {P} in {L} during the conference.
Please contact {P} for further details.
Please forward this to {P} and copy {P}.
Please call {G} back at noon.
Please ask Dr. {F} for the results.
Patient {P} was admitted to {O} on {M} {N}.
The patient, {P}, complained of chest pain.
Patient name: {P}
Name: {P}
Full name: {P}
Customer: {P}
Contact: {P}, {O}
Attn: {P}
Author: {P}
Assigned to {P} by {P}
assigned to: {P}
Owner: {G}
From: {P}
To: {P}
Cc: {P}; {P}
Signed, {P}
Signed by {P} on {M} {N}
Dr. {F} prescribed the medication to {P}.
Dr {P} will see you now.
Mrs. {F} left a message for you.
Mr {F} and Mrs {F} have two children.
Prof. {P} gave a talk at {O}.
Professor {F} teaches in {L}.
Captain {F} and Sergeant {F} filed the report.
Sir {P} opened the museum.
Miss {F} forgot her keys.
Can you tell {G} that the parcel is here?
Could you ask {P} to sign the form?
Did {G} answer the question about {X}?
Is {P} still working at {O}?
Who is {P}?
Was {G} there when it happened?
We hired {P} as our lawyer.
We have sent the documents to {P} in {L}.
We met with {P}, {P} and {P} last week.
According to {P}, the figures are wrong.
According to {O}, sales in {L} went up by {N} percent.
Employee {P} has resigned.
Agent {G} resolved the ticket.
Agent notes: spoke with {P}, verified identity, reset password.
Caller {P} wants to cancel the subscription to {X}.
User {P} could not log in.
Client {P} asked for a discount.
Witness {P} saw the car.
Teacher {P} wrote to the parents of {G}.
her husband {P} is the emergency contact
his wife, {P}, and their son {G}
the account of {P} was closed
the letter was written by {P} in {N}
a photo by {P}
as {G} said, the plan is good
the plan of {P} to move to {L} failed
{G}'s order was cancelled.
{P}'s laptop does not start since the update to {X}.
{G}'s mother lives in {L}.
It was {P} who found the mistake.
It looks like {G} already paid.
Yesterday {P} flew from {L} to {L}.
Yesterday we updated {X} to version {N}.
Meeting with {G}, {G} and {G} at {N} on {M}.
Reminder: {P} has a birthday on {M} {N}.
{P} - {O}
{P}, {L}
{P}
{P} | Senior Engineer | {O}
{L} is a beautiful city in {L}.
The weather in {L} was bad in {M}.
Our office in {L}, {L} is closed.
The train from {L} to {L} is late.
{O} announced a new product on {M} {N}.
{O} is based in {L}.
I work for {O} in {L}.
She joined {O} as chief accountant.
Shares of {O} fell by {N} percent.
The hospital in {L} is run by {O}.
Ship it to {A}, {L}.
He lives at {A}, {L}.
My address is {A}.
Deliver the parcel to {A} before {M}.
The office moved to {A} in {M}.
Monsieur {F} habite à {L}.
Madame {P} a appelé hier.
Herr {F} wohnt in {L}.
Frau {P} hat angerufen und bittet um Rückruf.
Sehr geehrter Herr {F}, vielen Dank für Ihre Nachricht.
Bonjour {G}, merci pour votre message.
Hola {G}, gracias por tu mensaje.
El señor {P} vive en {L}.
La señora {F} llamó ayer.
Ciao {G}, ci vediamo a {L}.
Il signor {P} abita a {L}.
The order was shipped on {M} {N} and has not arrived.
Refund issued. Customer happy. Closing the ticket.
Please restart {X} and try again.
Error: Connection refused by the server.
The Quick Start Guide explains how to install {X}.
Terms and Conditions apply to all Premium Accounts.
User clicked Save Changes and nothing happened.
Payment Failed: please update your Billing Information.
Open Settings and select Privacy, then turn off Location Services.
Status: Pending Review
Priority: High
Order Confirmed
Out For Delivery
Annual Report {N}
Product: Wireless Mouse, Color: Midnight Blue, Size: Large
Red Cotton Shirt with Long Sleeves
The Spring Sale starts on {M} {N}.
See you on {M}. Will Mark it done. May I help?
In {M}, Grace periods end. Rose prices went up. Bill the client. Frank talk helps. Hope this helps. Jack up the price. Sue them. Pat answers.
{X} and {X} do not work together.
We use {X}, {X} and {X} in production.
Upgrade {X} to the latest version before {M}.
The President met the Prime Minister on {M}.
Christmas and Easter are public holidays.
Customer Support will call you back within {N} hours.
Internal Server Error: Database Timeout
Chapter {N}: The Second Law
Monthly Newsletter: Top Stories of the Week
Dear Customer, your Gold Membership expires in {M}.
Dear Sir or Madam, to whom it may concern.
Dear Team, the All Hands Meeting is on {M}.
Hi Everyone, Happy New Year!
Thank You for Your Order
General Manager, Sales and Marketing
Black Friday discounts on Smart Watches and Coffee Machines.
English, French and German are supported.
Do Not Reply to this Message.
Accounts Payable approved the Purchase Order.
New York Times, Wall Street Journal and Big Ben.
Updated the Address Book. Removed the Old Entries.
The Blue Team won against the Red Team.
INFO Starting Server on port {N}
WARNING: Low Disk Space on Drive C
FATAL: Password authentication failed for user "app"
Note: Delivery Attempt {N} failed, Leave at Front Desk.
SHOPPING LIST FOR MONDAY: CALL THE BANK AND PAY THE RENT
Loading Module Core Data, Version {N}
Invoice Number, Customer Name, Due Date, Total Amount
First Name, Last Name, Street, City, Country
Title: Director, Dept: Finance, Level: {N}
Die Lieferung der Ware verzögert sich wegen einer Störung im Lager bis {M}.
Bitte senden Sie die Rechnung an die Buchhaltung und nicht an den Vertrieb.
Der Kunde hat die Zahlung der Gebühr abgelehnt und wünscht eine Gutschrift.
Unsere Geschäftszeiten gelten auch für die Abholung der Pakete.
La livraison de votre commande est prévue pour lundi.
Votre abonnement sera renouvelé automatiquement chaque mois.
Merci de vérifier les informations de paiement avant la date limite.
El pedido llegará mañana por la tarde.
Su suscripción se renovará automáticamente cada mes.
Gracias por su compra, puede descargar la factura en la página.
La consegna è prevista per domani pomeriggio.
Il pagamento non è andato a buon fine, riprovare più tardi.
O pedido foi enviado e chegará em breve.
De bestelling is verzonden en komt morgen aan.
Zamówienie zostało wysłane i dotrze jutro.
Leveransen är försenad till nästa vecka.
Siparişiniz kargoya verildi ve yarın teslim edilecek.
Lorem ipsum dolor sit amet, consectetur adipiscing elit. Sed do eiusmod tempor incididunt.
Duis aute irure dolor in reprehenderit. Excepteur sint occaecat cupidatat non proident.
`), "\n")

var proseForTests = strings.Split(strings.TrimSpace(`
{P} phoned our hotline twice because the router kept failing.
I was told by {P} that the warranty covers this.
Could somebody from your team reach out to {P}, please?
Our tenant {P} has not paid rent since {M}.
The claimant, {P}, alleges that the driver ran a red light.
Mr. {F} confirmed receipt of the package at noon.
Mrs. {P} would like to speak with a supervisor.
Dr. {F} referred her to a specialist in {L}.
Interview with {P}: strong background in statistics.
Hi {G}, hope you are well. I attached the signed lease.
Hello {P}, we received your complaint.
Good morning {G}, the delivery is scheduled for {M}.
Warm regards, {P}
Many thanks, {G}
Yours faithfully, {P}
Passenger {P} missed the connection in {L}.
Student {P} passed the final exam.
Nurse {G} noted that the wound healed well.
The nurse spoke with {P} and with her daughter {G}.
{G} asked whether the invoice could be split.
{P} will replace {P} as head of finance.
{P} sold the house to {P} for a good price.
{G} forgot the badge again, so {G} opened the door.
After the call, {P} emailed the documents to the bank.
Last {M}, {P} visited our showroom in {L}.
The judge asked {P} to explain the contract.
Both {P} and {P} signed the agreement.
Beneficiary: {P}
Account holder: {P}
Cardholder {P} disputes the charge.
Emergency contact is {P}, her brother.
Guest: {P}, room {N}, arriving on {M} {N}
Reviewed by {P}
Submitted by: {P}
Reported by {G} from accounting
Lead physician: {P}
Escalated to {P} after two failed attempts.
Spoke w/ {P}, left voicemail for {P}.
Her manager, {P}, approved the leave.
A neighbor, {P}, watered the plants while {G} was away.
Winner of this year's prize is {P} of {L}.
Photo credit goes to {P}.
This ticket belongs to {P}.
The parcel for {P} was left with the concierge.
{P}'s passport was stolen in {L}.
We will miss {G}'s sense of humor.
If {G} agrees, we sign on {M}.
I think {P} knows more about this.
When did {P} join the company?
Let {G} know that the parts arrived.
Happy birthday, {G}!
{P} studied law before joining {O}.
{O} hired {P} to run the branch in {L}.
Coach {F} praised the goalkeeper.
Madam {F} requested a window seat.
Herr {F} möchte seinen Vertrag kündigen.
Madame {F} souhaite annuler sa commande.
El cliente {P} solicita un reembolso.
The shipment left the port of {L} on {M} {N}.
We opened a second branch in {L}.
Invoices from {O} are overdue.
Send it to {A} please.
Her new apartment is at {A}.
The screen flickers whenever Dark Mode is on.
Your Premium Plan renews in {M}.
Click Continue and accept the License Agreement.
Garden Chair, Dark Green, Set of Two
Out of stock until {M}; Customer was informed.
The Security Team rotated all keys on {M}.
Warranty Claim rejected: Serial Number unreadable.
Install {X} first, then {X}.
Battery Replacement Program, Terms of Service
Shipping Address Missing
Quarterly Results beat Expectations.
Total Due: {N} USD, Payment Method: Bank Transfer
Please rate your Shopping Experience.
Kitchen Renovation: Phase Two starts in {M}.
Daily Standup at {N}, Sprint Review on {M}
Meeting Room Four is booked.
Can Opener, Stainless Steel
`), "\n")

// cyrillic is a name in Cyrillic script.
func (m *Maker) cyrillic() string {
	g, f := pick(m, m.v.CyrillicGiven), pick(m, m.v.CyrillicFamily)
	return m.one(g+" "+f, g+" "+f, f+" "+g, g, f)
}

// noun is a German noun, often made of two.
func (m *Maker) noun() string {
	v := pick(m, m.v.Nouns)
	if m.chance(50) {
		v += m.one("", "", "s", "en") + strings.ToLower(pick(m, m.v.Nouns))
	}
	if m.chance(30) {
		v += m.one("s", "e", "en", "er", "n", "es")
	}
	return v
}

// Foreign returns a sentence of words that no list has, of which only the first,
// and seldom another, begins with a capital, without any name.
func (m *Maker) Foreign() Sample {
	word := func() string {
		var b strings.Builder
		for range 1 + m.r.IntN(4) {
			b.WriteString(m.one("b", "c", "d", "f", "g", "l", "m", "n", "p", "qu", "r", "s", "t", "v", "st", "tr", "pr", "", "k", "sch", "ch"))
			b.WriteString(m.one("a", "e", "i", "o", "u", "ae", "ia", "io", "ei", "é", "ö"))
			b.WriteString(m.one("", "", "s", "m", "n", "r", "t", "x", "nt"))
		}
		return b.String()
	}
	var parts []string
	for i := range 4 + m.r.IntN(9) {
		w := word()
		if i == 0 || i > 1 && m.chance(6) {
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		if m.chance(8) && i > 0 {
			w += m.one(",", ".")
		}
		parts = append(parts, w)
	}
	return Sample{Text: strings.Join(parts, " ") + "."}
}

// Headline returns a line of common words, some of which begin with a capital,
// without any name.
func (m *Maker) Headline(words []string) Sample {
	var parts []string
	title := m.chance(60)
	for i := range 1 + m.r.IntN(9) {
		w := pick(m, words)
		if i == 0 || title && m.chance(80) || m.chance(5) {
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		if m.chance(3) {
			w = strings.ToUpper(w)
		}
		parts = append(parts, w)
	}
	return Sample{Text: strings.Join(parts, " ") + m.one("", ".", "!", ":", "?")}
}
