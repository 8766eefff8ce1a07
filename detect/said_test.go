package detect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/race"
)

// said are texts of many kinds; people stand between ⟦ and ⟧, secrets between ⟪
// and ⟫. A line is a text; ⏎ is its line feed.
const said = `
name=⟦Oliver Stone⟧
user: ⟦Maria Garcia⟧
{"firstName": "⟦Anna⟧", "lastName": "⟦Kowalska⟧", "age": 31}
{"first_name":"⟦Jürgen⟧","last_name":"⟦Großmann⟧","city":"Bremen"}
{"patient":{"name":"⟦Thomas Becker⟧","ward":"B2"},"status":"open"}
{"user":{"id":17,"displayName":"⟦Ingrid Sørensen⟧","role":"admin"}}
{"author": "⟦Pedro Almeida⟧", "title": "How to cook", "year": 2020}
{"name": "nginx", "version": "1.25.3", "status": "running"}
{"name": "Bosch Professional GSR 12V", "price": 129.0, "brand": "Bosch"}
{"name": "Premium Plan", "currency": "EUR"}
{"name":"Content-Type","value":"text/html"}
{"cardholder_name": "⟦JOHN Q PUBLIC⟧", "brand": "visa"}
{"customerName":"⟦Sofie de Vries⟧","orderStatus":"shipped"}
{"assignee":"⟦Marek Nowak⟧","reporter":"⟦Lucía Fernández⟧","state":"closed"}
{"employee": "⟦Nguyen Van Minh⟧", "department": "Sales"}
Patient: ⟦Helga Schmidt⟧, geb. am 12. Mai, Station 3
Patient: ⟦Robert Kowalczyk⟧⏎Diagnosis: acute bronchitis⏎Plan: rest
Patientin ⟦Monika Lehmann⟧ klagt über Kopfschmerzen seit drei Tagen.
Pt. ⟦Margaret O'Neill⟧ was admitted with chest pain last night.
Dear Mr. ⟦Thompson⟧, thank you for your letter.
Dear Mrs ⟦Patel⟧,⏎we are sorry for the delay.
Dear ⟦Sarah⟧,⏎I hope that you are well.
Sehr geehrte Frau ⟦Müller⟧,⏎anbei erhalten Sie die Rechnung.
Sehr geehrter Herr Dr. ⟦Hoffmann⟧, vielen Dank für Ihre Nachricht.
Liebe ⟦Katharina⟧, danke für deine Hilfe gestern.
Chère Madame ⟦Dubois⟧, nous avons bien reçu votre courrier.
Bonjour Monsieur ⟦Lefèvre⟧, votre commande est prête.
Estimado señor ⟦Rodríguez⟧, le escribimos por su factura.
Hola ⟦Carmen⟧, ¿puedes llamarme mañana?
Gentile signora ⟦Rossi⟧, la ringraziamo per la Sua richiesta.
Ciao ⟦Giuseppe⟧, ci vediamo domani alle dieci.
Beste ⟦Willem⟧, hierbij de stukken voor de vergadering.
Geachte mevrouw ⟦Jansen⟧, uw aanvraag is ontvangen.
Szanowna Pani ⟦Wiśniewska⟧, dziękujemy za wiadomość.
Cześć ⟦Tomasz⟧, wysyłam plik w załączniku.
Prezado senhor ⟦Oliveira⟧, segue a fatura do mês.
Olá ⟦Beatriz⟧, tudo bem com você?
Hej ⟦Anna⟧, kan du skicka rapporten idag?
Hej ⟦Björn⟧! Mötet är flyttat till fredag.
Hi ⟦Mike⟧, can you look at the ticket?
Med vänliga hälsningar⏎⟦Erik Lindqvist⟧
Mit freundlichen Grüßen⏎⟦Sabine Krüger⟧
Kind regards,⏎⟦Emily Watson⟧
Cordialement,⏎⟦Jean-Pierre Martin⟧
id,name,city⏎1,⟦Oliver Stone⟧,Berlin⏎2,⟦Maria Garcia⟧,Madrid⏎
first_name,last_name,amount⏎⟦Anna⟧,⟦Kowalska⟧,12⏎⟦Jan⟧,⟦Nowak⟧,15⏎
Name;Department;Salary⏎⟦Petra Vogel⟧;IT;4000⏎⟦Uwe Braun⟧;HR;3900⏎
id,full_name,active⏎7,"⟦Jean Dupont⟧",true⏎8,"⟦Claire Moreau⟧",false⏎
sku,name,price⏎A1,Cordless Drill,99⏎A2,Garden Hose,15⏎
Attendees: ⟦Alice Johnson⟧, ⟦Bob Miller⟧, ⟦Chandra Rao⟧
Teilnehmer: ⟦Klaus Weber⟧, ⟦Renate Fischer⟧ und ⟦Jens Wolf⟧
- ⟦Laura Bianchi⟧⏎- ⟦Marco Ferrari⟧⏎- ⟦Paolo Conti⟧
1. ⟦Hannah Smith⟧⏎2. ⟦George Brown⟧⏎3. ⟦Fatima Hassan⟧
From: ⟦Peter Jackson⟧⏎To: ⟦Linda Green⟧⏎Subject: Quarterly numbers
Von: ⟦Michael Wagner⟧⏎An: ⟦Stefanie Keller⟧⏎Betreff: Angebot
Assigned to: ⟦David Kim⟧
Reported by ⟦Olga Petrova⟧ on Monday, assigned to ⟦Hiroshi Tanaka⟧.
Contact person: ⟦Isabelle Laurent⟧
Ansprechpartner: ⟦Wolfgang Schäfer⟧
Manager: ⟦Susan Clark⟧, Team: Platform
Approved by: ⟦Raj Malhotra⟧
Author: ⟦Grace Hopper⟧ (maintainer)
Signed-off-by: ⟦Linus Karlsson⟧
Co-authored-by: ⟦Emma Wilson⟧
2024-03-01 12:00:01 INFO login user="⟦Daniel Meyer⟧" result=ok
level=info msg="order created" customer="⟦Nora Hansen⟧" total=12
ERROR could not find user '⟦Eva Novak⟧' in directory
[12:04] <⟦Ana Torres⟧> I will check it
⟦Ana Torres⟧: can somebody look at the build?⏎⟦Ben Carter⟧: on it
The nurse called ⟦Teresa Gómez⟧ at home in the evening.
I spoke to ⟦Kevin⟧ about the refund, and ⟦Priya⟧ will answer.
⟦Angela Schulz⟧ hat gestern angerufen und fragt nach der Lieferung.
Herr ⟦Yilmaz⟧ wartet auf den Rückruf von Frau ⟦Kaya⟧.
M. ⟦Bernard Petit⟧ a signé le contrat le lundi.
La señora ⟦Marta Ruiz⟧ vive en Sevilla con su hermano.
Il dottor ⟦Luca Romano⟧ ha visitato il paziente.
Pan ⟦Krzysztof Zieliński⟧ złożył reklamację w poniedziałek.
O senhor ⟦João Pereira⟧ pediu o reembolso.
De heer ⟦Bakker⟧ heeft de huur betaald.
Fru ⟦Karin Nilsson⟧ ringde om sin faktura.
Mieter: ⟦Holger Neumann⟧⏎Vermieter: ⟦Brigitte Lang⟧
Rechnung an ⟦Markus Zimmermann⟧
Kunde: ⟦Sven Peters⟧
Nom: ⟦Martin⟧⏎Prénom: ⟦Sophie⟧
Nombre: ⟦Javier López⟧⏎Apellidos: ⟦López García⟧
Nome: ⟦Chiara⟧⏎Cognome: ⟦Esposito⟧
Imię: ⟦Agnieszka⟧⏎Nazwisko: ⟦Wójcik⟧
Vorname: ⟦Lukas⟧⏎Nachname: ⟦Steinbach⟧
Naam: ⟦Pieter van den Berg⟧
Namn: ⟦Astrid Holm⟧
Nome completo: ⟦Rafael Souza⟧
First name: ⟦Zoë⟧⏎Last name: ⟦Achterberg⟧
Full Name: ⟦Blessing Okafor⟧
Employee: ⟦Chen Wei⟧
<name>⟦Oliver Stone⟧</name>
<firstName>⟦Anna⟧</firstName><lastName>⟦Kowalska⟧</lastName>
<author>⟦Dmitri Volkov⟧</author><title>Compilers</title>
<td>Customer</td><td>⟦Rachel Adams⟧</td>
INSERT INTO users (first_name, last_name) VALUES ('⟦Anna⟧', '⟦Kowalska⟧');
UPDATE users SET last_name = '⟦Lindgren⟧' WHERE id = 4;
SELECT * FROM people WHERE full_name = '⟦Greta Olsson⟧';
first_name: ⟦Marta⟧⏎last_name: ⟦Dvořák⟧⏎plan: premium
user: postgres
user: admin⏎password: ⟪hunter2!x⟫
name: my-service⏎image: nginx
name=backend
Name: Nginx Web Server
Name: Adobe Reader⏎Version: 11
Display Name: Windows Update
host: Frankfurt
user: Administrator
Owner: Platform Team
Team: Blue Whales
Status: In Progress
Title: The Great Gatsby
Subject: Meeting Notes
Product: Makita Akku Schlagbohrschrauber
Bosch Professional 18V Akkuschrauber GSR 18V-55 mit zwei Akkus
Makita DHP484 Combi Drill Body Only, brushless motor
Knife Huntsman by Victorinox, stainless steel, red handle
KitchenAid Artisan Mixer, Empire Red, 4.8 litre bowl
Samsung Galaxy S23 Ultra 256 GB Phantom Black
Nike Air Zoom Pegasus 40 Running Shoes, Men's, White
Hilti Rotary Hammer TE 30, case included
Dyson Airwrap Complete Long, nickel and copper
Levi's Original Fit Jeans, Dark Stonewash
IKEA Billy Bookcase white, 80 cm wide
Canon EOS Camera Body with Kit Lens
Philips Sonicare Toothbrush DiamondClean Smart
Tefal Pfanne Induktion 28 cm beschichtet
Rechnung Nr. 4711 vom 3. Mai, zahlbar innerhalb von 14 Tagen
Die Lieferung erfolgt durch den Spediteur am Montag.
Bitte überweisen Sie den Betrag auf unser Konto bei der Sparkasse.
Vertrag über die Nutzung der Software, Anlage Eins
Der Kunde hat die Ware am Freitag zurückgegeben.
Die Abteilung Einkauf prüft das Angebot der Firma.
Unsere Allgemeinen Geschäftsbedingungen gelten für alle Bestellungen.
La facture est payable à réception, sans escompte.
El pedido llegará el lunes por la mañana.
La consegna avviene entro tre giorni lavorativi.
Uw bestelling wordt morgen geleverd.
Zamówienie zostanie wysłane w środę.
A encomenda chega na sexta feira.
Din beställning levereras på torsdag.
Warning: Deprecated Function Called in module
INFO Starting Application on port
Kernel Panic: Not Syncing, Attempted to kill init
Error Code: Access Denied for bucket
The General Data Protection Regulation applies to all processors.
The Prime Minister met the European Commission on Tuesday.
Terms and Conditions, Privacy Policy, Cookie Settings
GNU General Public License, version three
See also: Environment Variables, Exit Status, Bug Reports
NAME⏎    ls, list directory contents⏎SYNOPSIS⏎    ls OPTION FILE
Dashboard, Settings, Billing, Users, Sign Out
Monday: Team Lunch; Tuesday: Sprint Review
Please restart the Load Balancer and the Message Queue.
class UserService extends BaseService implements Closeable
const firstName = "⟦Miriam⟧";
user.setLastName("⟦Abernathy⟧");
String author = "⟦Hedda Gabler⟧";
name = "terraform-aws-vpc"
  name: Build and Test
  name: Deploy To Production
Message-ID: <CAF12ab=9qX7Lw03kzTm4@mail.example.org>
Message-ID: <20240301120001.4711@mx.example.net>⏎In-Reply-To: <3F2504E0-4F89-11D3-9A0C-0305E82C3301@host.example.org>⏎References: <1189265.17.1700000000123@a.example.org> <AM0PR05MB44881234@b.example.org>
References: <1189265.17.1700000000123@a.example.org>⏎ <AM0PR05MB44881234@b.example.org>
export DB_PASSWORD=⟪s3cr3t-Pa55⟫
set ADMIN_PASSWORD ⟪Tr0ub4dor&3⟫
set API_TOKEN "⟪f3a9c1d27be84056⟫"
setx API_KEY "⟪9f86d081884c7d659a2f⟫"
setx DB_PASSWORD ⟪Winter2024!⟫
set -x GITLAB_TOKEN ⟪a8f5f167f44f4964e6c9⟫
setenv MYSQL_PASSWORD ⟪qwErty99x⟫
$env:API_SECRET = "⟪Zx81kqPw77Lm02⟫"
java -Ddb.password=⟪Gh7kkL2p⟫ -jar app.jar
java -Djavax.net.ssl.keyStorePassword=⟪changeit99⟫ Main
app --password ⟪Xk29fjQ1⟫ --user bob
app --db-password=⟪Xk29fjQ1⟫
psql --password '⟪Xk29 fjQ1⟫'
mongo -u admin --password ⟪p4ssw0rdX⟫ host
redis-cli -a ⟪Rd1sPa55word⟫ ping
sshpass -p ⟪My5shPa55⟫ ssh host
sshpass -p '⟪My5shPa55⟫' ssh host
docker login -u bob -p ⟪dckr77Pass⟫ registry.example.com
ENV SECRET_KEY ⟪b1946ac92492d2347c62⟫
ENV DB_PASSWORD=⟪pgPass123⟫
ARG API_TOKEN=⟪b1946ac92492d2347c6235⟫
spring.datasource.password=⟪Spr1ngPw⟫
jdbc.password = ⟪Spr1ngPw⟫
  password: ⟪Spr1ngPw⟫
  password: "⟪correct horse battery⟫"
  db_password = "⟪tf-Secret-99⟫"
variable "db_password" {⏎  default = "⟪Sup3rS3cret⟫"⏎}
- name: DB_PASSWORD⏎  value: ⟪k8sPassw0rd⟫
- name: API_TOKEN⏎  value: "⟪d41d8cd98f00b204e9800998⟫"
{"name": "DB_PASSWORD", "value": "⟪k8sPassw0rd⟫"}
<add key="DbPassword" value="⟪Xml9Secret⟫" />
<property name="password" value="⟪Xml9Secret⟫"/>
<password>⟪Xml9Secret⟫</password>
machine api.example.com login bob password ⟪netrcP4ss⟫
IDENTIFIED BY '⟪Ora9Secret⟫'
CREATE USER bob WITH PASSWORD '⟪Cr3ateMe⟫';
ALTER ROLE bob PASSWORD '⟪Cr3ateMe⟫'
Server=db;User Id=sa;Password=⟪Sq1Server!⟫;
AccountKey=⟪Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZg==⟫;
config.set("api_key", "⟪a94a8fe5ccb19ba61c4c⟫")
os.environ["SECRET_KEY"] = "⟪a94a8fe5ccb19ba61c4c⟫"
my %h = (password => '⟪Perl5ecret⟫');
define('DB_PASSWORD', '⟪Wp9Secret⟫');
:password: ⟪rubyPass9⟫
password ⟪Cisc0Pass⟫
enable secret ⟪Cisc0Pass9⟫
set password policy to strict
set token lifetime to one hour
--password file
export PATH=/usr/bin
setx JAVA_HOME "C:\Program Files\Java"
set KEY_LENGTH 2048
- name: DB_HOST⏎  value: postgres.internal
{"contact_name":"⟦Yusuf Demir⟧","email_ok":true}
{"name":"⟦Ludovica Marchetti⟧","tier":"gold"}
{"billing":{"holder":"⟦Annelise Brandt⟧"},"total":19}
{"name":"web-frontend","replicas":3}
{"name":"Summer Sale","type":"campaign"}
{"name":"Roboto Condensed","type":"font"}
{"name":"San Francisco","type":"city"}
{"name":"Los Angeles Lakers","sport":"basketball"}
{"name":"Visual Studio Code","kind":"editor"}
{"user":"root","host":"localhost"}
{"author":"Microsoft Corporation","license":"MIT"}
{"owner":"Engineering","slug":"core"}
{"title":"Senior Engineer","name":"⟦Tariq Aziz⟧"}
customer=⟦Hugo Lindström⟧ plan=pro
userName="⟦Valentina Greco⟧" action=delete
Author: ⟦Fyodor Karamazov⟧
Maintainer: ⟦Debbie Harrison⟧
Author: OpenSSL Project
Owner: Finance Department
User: System
Client: Firefox
Client: Acme Corporation
Customer: Global Logistics GmbH
Patient: stable, no fever
Patient Name: ⟦Ottilie Baumgartner⟧
Name des Patienten: ⟦Friedrich Ackermann⟧
Versicherter: ⟦Gerhard Pohl⟧
Arzt: Dr. ⟦Simone Kraft⟧
Sachbearbeiterin: ⟦Ulrike Hartung⟧
Destinataire : ⟦Hélène Caron⟧
Paziente: ⟦Francesca De Luca⟧, ricoverata ieri
Titular: ⟦Alejandro Navarro⟧
Paciente ⟦Ramón Castillo⟧ ingresó ayer con fiebre.
Patiënt ⟦Annemiek Visser⟧ klaagt over hoofdpijn.
Pacjent ⟦Grzegorz Lewandowski⟧ zgłosił ból głowy.
Witam Panie ⟦Kaczmarek⟧, proszę o kontakt.
Bom dia ⟦Fernanda⟧, o relatório está pronto.
Guten Morgen Frau ⟦Seidel⟧, der Termin steht.
Hallo ⟦Jonas⟧, danke für die schnelle Antwort!
Hallo zusammen, morgen ist Feiertag.
Hello everyone, the meeting is moved.
Dear Customer, your parcel is on its way.
Dear Hiring Manager, I apply for the role.
Sehr geehrte Damen und Herren, anbei die Unterlagen.
Bonjour à tous, la réunion est annulée.
Thanks, ⟦Rebecca⟧
Best,⏎⟦Tom Ashworth⟧
Viele Grüße⏎⟦Annika⟧
Un saludo,⏎⟦Pilar Domínguez⟧
Met vriendelijke groet,⏎⟦Sanne Vermeulen⟧
Pozdrawiam⏎⟦Magdalena Kamińska⟧
The witness, ⟦Arthur Pembroke⟧, told the court that he saw nothing.
⟦Meera Krishnan⟧ joined in May and reports to ⟦Colin Fraser⟧.
Ms ⟦Okonkwo⟧ asked for parental leave from June.
@⟦Jenna⟧ can you merge this?
cc ⟦Patrick Doyle⟧ and ⟦Siobhan Kelly⟧
Meeting with ⟦Stefan Raab⟧ at ten in the small room.
Call ⟦Mrs Donnelly⟧ back about her boiler.
Le patient ⟦Mohamed Benali⟧ présente une fracture du poignet.
Frau ⟦Özlem Arslan⟧ hat den Antrag unterschrieben.
Nach Angaben von ⟦Dieter Hoffmann⟧ war die Tür offen.
Secondo ⟦Matteo Galli⟧ il contratto è scaduto.
Enligt ⟦Johanna Ekström⟧ är avtalet klart.
Volgens ⟦Bram Hendriks⟧ is de factuur betaald.
id;vorname;nachname;ort⏎1;⟦Heike⟧;⟦Sommer⟧;Köln⏎
employee,team,start⏎⟦Luis Ortega⟧,Ops,2020⏎⟦Wendy Zhao⟧,Dev,2021⏎
product,price⏎Chair,20⏎Table,40⏎
name,population⏎Berlin,3600000⏎Madrid,3200000⏎
<customer><name>⟦Elif Şahin⟧</name><city>Ankara</city></customer>
<artifact><name>Spring Boot Starter</name></artifact>
Stanley FatMax Werkzeugkoffer 45 cm, schwarz und gelb
DeWalt Cordless Impact Driver DCF887N, 18V XR
Lenovo ThinkPad X1 Carbon Gen 11, 32 GB RAM
Lavazza Crema e Gusto Kaffeebohnen 1 kg
Adidas Ultraboost Light Laufschuhe Herren Größe 43
Gardena Gartenschlauch Classic 20 m mit Anschluss
Apple MacBook Air M2, 256 GB, Midnight
Miele Waschmaschine WWD 120 WCS, Lotosweiß
Siemens Geschirrspüler SN23HW36TE freistehend
Weber Spirit Gasgrill E-325, schwarz
Rechnungsnummer und Kundennummer bitte immer angeben
Das Finanzamt Hamburg prüft die Steuererklärung.
Der Vorstand beschließt die Ausschüttung der Dividende.
Im Januar steigt der Umsatz der Abteilung Vertrieb.
Bitte Getränke und Besteck für die Feier mitbringen.
Le Directeur Général présente le Rapport Annuel.
La Junta de Andalucía publica el Boletín Oficial.
Il Ministero della Salute comunica i dati.
Use the Submit Button to send the Form.
Exception in thread main: Null Pointer
The Access Point and the Core Switch were replaced.
Microsoft Word, Excel and Outlook are installed.
Oracle Linux, Ubuntu Server and Debian are supported.
Apache Kafka Connect writes to Amazon Redshift.
Jenkins Pipeline failed, see Grafana Dashboard.
Set Theory and Linear Algebra, Second Edition
set password=⟪Qv7hhLp2x⟫
SET ROLE_PASSWORD=⟪Qv7hhLp2x⟫
export STRIPE_SECRET="⟪b7e23ec29af22b0b4e41da31⟫"
fish: set -gx AWS_TOKEN ⟪b7e23ec29af22b0b4e41da31⟫
setx /M DB_PASSWORD "⟪Mach1nePw⟫"
java -Dspring.mail.password=⟪Ma1lPass⟫
tool --api-key ⟪b7e23ec29af22b0b4e41⟫ run
tool --client-secret ⟪b7e23ec29af22b0b4e41⟫
tool --passphrase "⟪open sesame now⟫"
  admin_password = ⟪PlainW0rd⟫
      POSTGRES_PASSWORD: ⟪c0mposePw⟫
      - MYSQL_ROOT_PASSWORD=⟪r00tPass⟫
ENV JWT_SECRET="⟪longjwtsecret99⟫"
master_password         = "⟪Aurora-99-x⟫"
{ "key": "api_token", "value": "⟪0cc175b9c0f1b6a831c399e2⟫" }
  - name: SMTP_PASSWORD⏎    value: "⟪mailMe22⟫"
  - name: SMTP_PASSWORD⏎    valueFrom:⏎      secretKeyRef: smtp
<entry key="secret">⟪9e107d9d372bb6826bd81d35⟫</entry>
<setting name="ApiKey" value="⟪9e107d9d372bb6826bd81d35⟫"/>
ldap.bind.password=⟪LdapB1nd⟫
requirepass ⟪Red1sMaster⟫
--token ⟪9e107d9d372bb6826bd81d35⟫
net use X: \\srv\share /user:bob ⟪Net5hare⟫
curl -H "X-Api-Key: ⟪9e107d9d372bb6826bd81d35⟫" https://x
token = get_token()
password = input("Password: ")
PASSWORD_MIN_LENGTH=12
`

// saidTexts returns the texts with the places of people and of secrets.
func saidTexts() (texts []string, people, secrets [][][2]int) {
	for line := range strings.SplitSeq(strings.Trim(said, "\n"), "\n") {
		line = strings.ReplaceAll(line, "⏎", "\n")
		var text strings.Builder
		var p, s [][2]int
		start := 0
		for _, r := range line {
			switch r {
			case '⟦', '⟪':
				start = text.Len()
			case '⟧':
				p = append(p, [2]int{start, text.Len()})
			case '⟫':
				s = append(s, [2]int{start, text.Len()})
			default:
				text.WriteRune(r)
			}
		}
		texts, people, secrets = append(texts, text.String()), append(people, p), append(secrets, s)
	}
	return texts, people, secrets
}

// TestQualitySaid scores texts of many kinds and languages that no program made.
func TestQualitySaid(t *testing.T) {
	texts, people, secrets := saidTexts()
	score := func(what string, want [][][2]int, of func(Type) bool) (missed, wrong, total int) {
		for i, text := range texts {
			var got [][2]int
			for _, f := range Default().Find(nil, []byte(text)) {
				if of(f.Type) {
					got = append(got, [2]int{f.Start, f.End})
				}
			}
			meets := func(a [2]int, list [][2]int) bool {
				for _, b := range list {
					if a[0] < b[1] && b[0] < a[1] {
						return true
					}
				}
				return false
			}
			for _, w := range want[i] {
				if total++; !meets(w, got) {
					missed++
					t.Logf("%s missed: %q in %q", what, text[w[0]:w[1]], text)
				}
			}
			for _, g := range got {
				if !meets(g, want[i]) {
					wrong++
					t.Logf("%s wrong: %q in %q", what, text[g[0]:g[1]], text)
				}
				for _, w := range want[i] {
					if meets(g, [][2]int{w}) && g != w {
						t.Logf("%s inexact: %q for %q", what, text[g[0]:g[1]], text[w[0]:w[1]])
					}
				}
			}
		}
		t.Logf("%s: %d of %d missed, %d wrong", what, missed, total, wrong)
		return missed, wrong, total
	}
	missedPeople, wrongPeople, allPeople := score("people", people, func(t Type) bool { return t == Person })
	missed, wrong, all := score("secrets", secrets, func(t Type) bool { return t == Password || t == Secret || t == PrivateKey })
	_, others, _ := score("others", make([][][2]int, len(texts)), func(t Type) bool {
		return t != Person && t != Location && t != Company && t != Password && t != Secret
	})
	require.LessOrEqual(t, missedPeople*100, allPeople*6)
	require.LessOrEqual(t, wrongPeople*100, allPeople*15)
	require.LessOrEqual(t, missed*100, all*10)
	require.LessOrEqual(t, wrong*100, all*2)
	require.Zero(t, others)
}

func TestAddressBelowAnEmptyLine(t *testing.T) {
	for _, text := range []string{"\n\n <ann@example.org>", "\n <ann@example.org>", "<ann@example.org>", "From: none\n\n\t<ann@example.org>"} {
		require.Len(t, Default().Find(nil, []byte(text)), 1, text)
	}
}

// Whoever puts a header's name before a mailbox does not see it.
func TestMailboxesInHeaders(t *testing.T) {
	detector, err := New(Config{})
	require.NoError(t, err)
	for _, text := range []string{
		"In-Reply-To: <ann.smith@example.com>", "References: <x@example.com>\n <ann.smith.1985@example.com>", "message-id: <annabelle.winterbottom@example.com>",
	} {
		require.NotEmpty(t, detector.Find(nil, []byte(text)), text)
	}
}

// What is said of names of fields, tables and signatures costs no allocation.
func TestSaidDoesNotAllocate(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	texts, _, _ := saidTexts()
	found := make([]Finding, 0, 64)
	for _, text := range texts {
		src := []byte(text)
		require.Zero(t, testing.AllocsPerRun(3, func() { found = Default().Find(found[:0], src) }), text)
	}
}
