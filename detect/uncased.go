package detect

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// Names in scripts without capitals.

// familyHan and familyHangul are the characters that most family names of China and
// Korea are, and the first of Japan's.
var familyHan, familyHangul = runeSet("王李张張刘劉陈陳杨楊赵趙黄黃周吴吳徐孙孫胡朱高林何郭马馬罗羅梁宋郑鄭谢謝韩韓唐冯馮于董萧蕭程曹袁邓鄧许許傅沈曾彭吕呂苏蘇卢盧蒋蔣蔡贾賈丁魏薛叶葉阎閻余潘杜戴夏钟鍾汪田任姜范方石姚谭譚廖邹鄒熊金陆陸郝孔白崔康毛邱秦江史顾顧侯邵孟龙龍万萬段雷钱錢汤湯尹黎易常武乔喬贺賀赖賴龚龔文" +
	"佐鈴高田伊渡山中小加吉木林斎清井松藤岡長前石後近遠青坂福西太岩橋野菅河杉平新上工内丸今大原村柴宮土本池安久服関増千菊東島谷江"), runeSet("김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민진지엄채원천방공현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁국어은편용예봉경")

func runeSet(list string) map[rune]bool {
	m := map[rune]bool{}
	for _, r := range list {
		m[r] = true
	}
	return m
}

// uncasedName reports whether v, which is a whole cell or field, may be the name of a person
// in Chinese, Japanese or Korean: a family name and one to three characters more.
func uncasedName(v []byte) bool {
	const most = 5
	n, first := 0, rune(0)
	hangul := false
	for i := 0; i < len(v); {
		r, size := utf8.DecodeRune(v[i:])
		switch {
		case r >= 0x4E00 && r <= 0x9FFF || r >= 0x3041 && r <= 0x30FF || r == '々':
		case r >= 0xAC00 && r <= 0xD7A3:
			hangul = true
		case (r == ' ' || r == '　') && i > 0 && i+size < len(v):
			i += size
			continue
		default:
			return false
		}
		if n++; n == 1 {
			first = r
		}
		if n > most {
			return false
		}
		i += size
	}
	if n < 2 {
		return false
	}
	if hangul {
		return n <= 4 && familyHangul[first]
	}
	return familyHan[first]
}

// uncasedField reports whether v may be a name in a script without capitals, in a field that
// holds nothing else: two to five words of its letters.
func uncasedField(v []byte) bool {
	const longest = 60
	if len(v) < 4 || len(v) > longest {
		return false
	}
	for i := 0; i < len(v); {
		r, size := utf8.DecodeRune(v[i:])
		if r < 0x80 && r != ' ' && r != '-' && r != '.' || r >= 0x80 && (!unicode.Is(unicode.Lo, r) && !unicode.Is(unicode.M, r) || r == utf8.RuneError) {
			return false
		}
		i += size
	}
	return true
}

// hasWide reports whether src has a character of a script that is written without spaces.
func hasWide(src []byte) bool {
	for lead := byte(0xE3); lead <= 0xED; lead++ {
		if bytes.IndexByte(src, lead) >= 0 {
			return true
		}
	}
	return false
}
