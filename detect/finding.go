package detect

// Finding is one sensitive value: src[Start:End].
type Finding struct {
	Start, End int
	Type       Type
	Score      uint8 // 0–100, how certain
}

// Type names a kind of sensitive value. Standard names follow the ones that
// analyzers of personal data commonly use; recognizers may bring their own.
type Type string

// Secret reports whether values of type t are secrets: no part of one may be told, nor
// its length.
func (t Type) Secret() bool {
	switch t {
	case Password, Secret, CloudKey, APIToken, JWT, PrivateKey, CardCode:
		return true
	}
	return false
}

// The standard types.
const (
	Email       Type = "EMAIL_ADDRESS"
	Phone       Type = "PHONE_NUMBER"
	Card        Type = "CREDIT_CARD"
	CardCode    Type = "CARD_VERIFICATION_CODE" // by column name only
	IBAN        Type = "IBAN_CODE"
	IP          Type = "IP_ADDRESS"
	MAC         Type = "MAC_ADDRESS"
	LocalIP     Type = "LOCAL_IP_ADDRESS"  // of a private network and the like: of no person
	LocalMAC    Type = "LOCAL_MAC_ADDRESS" // of an interface, a virtual machine, a group
	BirthDate   Type = "DATE_OF_BIRTH"
	Crypto      Type = "CRYPTO"
	Person      Type = "PERSON"
	Address     Type = "STREET_ADDRESS"
	Location    Type = "LOCATION"
	Company     Type = "ORGANIZATION"
	NationalID  Type = "NATIONAL_ID" // by column name only
	Passport    Type = "PASSPORT"
	License     Type = "DRIVER_LICENSE"
	BankAccount Type = "BANK_ACCOUNT"
	Medical     Type = "MEDICAL_LICENSE"
	USSSN       Type = "US_SSN"
	USITIN      Type = "US_ITIN"
	USMBI       Type = "US_MBI"
	UKNHS       Type = "UK_NHS"
	UKNINO      Type = "UK_NINO"
	DETaxID     Type = "DE_TAX_ID"
	FRNIR       Type = "FR_NIR"
	ESNIF       Type = "ES_NIF"
	ESNIE       Type = "ES_NIE"
	ITFiscal    Type = "IT_FISCAL_CODE"
	ITVAT       Type = "IT_VAT_CODE"
	NLBSN       Type = "NL_BSN"
	PLPESEL     Type = "PL_PESEL"
	BRCPF       Type = "BR_CPF"
	BRCNPJ      Type = "BR_CNPJ"
	INAadhaar   Type = "IN_AADHAAR"
	INPAN       Type = "IN_PAN"
	INGSTIN     Type = "IN_GSTIN"
	CASIN       Type = "CA_SIN"
	AUTFN       Type = "AU_TFN"
	AUABN       Type = "AU_ABN"
	AUMedicare  Type = "AU_MEDICARE"
	KRRRN       Type = "KR_RRN"
	CNID        Type = "CN_ID"
	SEPersonnr  Type = "SE_PERSONNUMMER"
	DKCPR       Type = "DK_CPR"
	NOFodselsnr Type = "NO_FODSELSNUMMER"
	FIHetu      Type = "FI_PERSONAL_IDENTITY_CODE"
	CHAHV       Type = "CH_AHV"
	BENRN       Type = "BE_NRN"
	PTNIF       Type = "PT_NIF"
	CZRC        Type = "CZ_BIRTH_NUMBER"
	ZAID        Type = "ZA_ID"
	TRTCKN      Type = "TR_TCKN"
	ILID        Type = "IL_ID"
	JPMyNumber  Type = "JP_MY_NUMBER"
	THTNIN      Type = "TH_TNIN"
	MXCURP      Type = "MX_CURP"
	ARCUIT      Type = "AR_CUIT"
	CLRUT       Type = "CL_RUT"
	SGNRIC      Type = "SG_NRIC_FIN"
	HKID        Type = "HK_ID"
	TWID        Type = "TW_ID"
	ROCNP       Type = "RO_CNP"
	HROIB       Type = "HR_OIB"
	IEPPS       Type = "IE_PPS"

	PrivateKey Type = "PRIVATE_KEY"
	JWT        Type = "JWT"
	Password   Type = "PASSWORD"
	Secret     Type = "SECRET"
	CloudKey   Type = "CLOUD_KEY" // of a cloud provider
	APIToken   Type = "API_TOKEN" // of any other known vendor
)
