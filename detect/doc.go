// Package detect finds values in text that should not be seen: of people, of cards
// and accounts, and secrets; and judges what columns of a database hold.
//
// A [Detector] is made of declarations and goes over a text once. A [Finder] is a
// Detector for one goroutine, and [Codes] looks into base64 and hex. What a column
// holds is told by its name and some of its values, as [Contents]; a [Weigher] then
// tells its values from numbers that pass a check by chance.
//
// [NamesSecret] and [MaySetSecret] are for those who keep names and texts, such as a
// record: they answer for a whole name or text, and rather too often.
package detect
