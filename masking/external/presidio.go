package external

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
)

// analyzeRequest is the body of POST /analyze.
type analyzeRequest struct {
	Text      string  `json:"text"`
	Language  string  `json:"language"`
	Threshold float64 `json:"score_threshold,omitempty"`
}

// analyzed reads what Presidio answers: places in the text, counted in code
// points.
func (a *Analyzer) analyzed(dst []detect.Finding, text, answer []byte) ([]detect.Finding, error) {
	var list []struct {
		Start *int    `json:"start"`
		End   *int    `json:"end"`
		Score float64 `json:"score"`
		Type  string  `json:"entity_type"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, errors.New("the analyzer's answer is not a list of findings")
	}
	points := places(text)
	for _, x := range list {
		if x.Start == nil || x.End == nil || x.Type == "" || *x.Start < 0 || *x.End <= *x.Start || *x.End >= len(points) {
			return nil, errors.New("the analyzer's answer has a finding outside of the text")
		}
		if x.Score < a.c.LeastScore {
			continue
		}
		dst = append(dst, detect.Finding{Start: points[*x.Start], End: points[*x.End], Type: a.typeOf(x.Type), Score: uint8(max(1, min(x.Score, 1)*100))})
	}
	return dst, nil
}

// places are the byte offsets of text's code points, and its length.
func places(text []byte) []int {
	list := make([]int, 0, len(text)+1)
	for i := 0; i < len(text); {
		list = append(list, i)
		_, size := utf8.DecodeRune(text[i:])
		i += size
	}
	return append(list, len(text))
}
