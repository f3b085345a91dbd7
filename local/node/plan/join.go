package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// JoinToken is what an agent joins with: a Kubernetes bootstrap token, and the hash by which it knows its cluster.
type JoinToken struct {
	// AuthorityHash is the SHA-256 of the cluster's certificate authority as a PEM file, in hexadecimal.
	AuthorityHash string
	// Bearer is the bootstrap token: ID, dot, secret.
	Bearer string
}

// joinToken is k3s's secure form of a bootstrap token (https://docs.k3s.io/cli/token). Its short form, without the hash,
// would trust whoever answers.
var joinToken = regexp.MustCompile(`^K10([0-9a-f]{64})::([a-z0-9]{6}\.[a-z0-9]{16})$`)

// ParseJoinToken reads a token. The error does not repeat it.
func ParseJoinToken(text string) (JoinToken, error) {
	parts := joinToken.FindStringSubmatch(strings.TrimSpace(text))
	if parts == nil {
		return JoinToken{}, fmt.Errorf("not a join token of the form K10<hash of the authority>::<id>.<secret>")
	}
	return JoinToken{AuthorityHash: parts[1], Bearer: parts[2]}, nil
}

// IsOf says whether the token is of the cluster that has this certificate authority, a PEM file.
func (t JoinToken) IsOf(authority []byte) bool {
	hash := sha256.Sum256(authority)
	return hex.EncodeToString(hash[:]) == t.AuthorityHash
}
