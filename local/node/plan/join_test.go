package plan

import (
	"strings"
	"testing"
)

// Of the text "authority", by sha256sum.
const hash = "8f76fd501bb68ef71f4e276bc28f29bce1003b0c2c9d9478de81b5bfc0cde1e9"

func TestAJoinTokenIsOfOneCluster(t *testing.T) {
	token, err := ParseJoinToken("K10" + hash + "::abcdef.0123456789abcdef\n")
	if err != nil {
		t.Fatal(err)
	}
	if token.Bearer != "abcdef.0123456789abcdef" {
		t.Errorf("got %+v", token)
	}
	if !token.IsOf([]byte("authority")) || token.IsOf([]byte("another")) {
		t.Error("it is not of the cluster with this authority, or of another")
	}
}

func TestOtherTokensAreRefusedAndNotRepeated(t *testing.T) {
	for _, text := range []string{
		"", "abcdef.0123456789abcdef", "K10::abcdef.0123456789abcdef", "K10" + hash + "::node:password",
		"K10" + strings.ToUpper(hash) + "::abcdef.0123456789abcdef", "K10" + hash + "::abcdef.0123456789abcdef.x",
	} {
		_, err := ParseJoinToken(text)
		if err == nil {
			t.Errorf("%q: no error", text)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error tells the token: %v", err)
		}
	}
}
