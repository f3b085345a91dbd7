package supervise

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"

	"holdfast.local/node/files"
	"holdfast.local/node/pki"
	"holdfast.local/node/plan"
)

// errForeign is an answer of another cluster than the token's: to ask again is no use.
var errForeign = errors.New("the server's certificate authority is not the one that the token names")

// prepareToJoin writes what the kubelet asks for its first certificate with. A node that has one needs no token.
func prepareToJoin(ctx context.Context, node plan.Node) error {
	if _, err := openCluster(plan.NodeCredential); err == nil {
		return nil
	}
	text, err := os.ReadFile(node.TokenFile)
	if err != nil {
		return fmt.Errorf("read the token to join with (--token-file): %w", err)
	}
	token, err := plan.ParseJoinToken(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", node.TokenFile, err)
	}
	authority, err := awaitAuthority(ctx, node.ServerURL, token)
	if err != nil {
		return err
	}
	kubeconfig, err := node.JoinKubeconfig(token)
	if err != nil {
		return fmt.Errorf("make the kubeconfig to join with: %w", err)
	}
	return errors.Join(files.Write(node.Authority(), authority, 0o644), files.Write(plan.JoinCredential, kubeconfig, 0o600))
}

// awaitAuthority waits for the server, and returns its certificate authority as a PEM file.
func awaitAuthority(ctx context.Context, server string, token plan.JoinToken) (authority []byte, err error) {
	var foreign error
	err = until(ctx, "the server at "+server, func(ctx context.Context) (bool, string) {
		found, err := authorityOf(ctx, server, token)
		if errors.Is(err, errForeign) {
			foreign = fmt.Errorf("join %s: %w", server, err)
			return true, ""
		}
		if err != nil {
			return false, err.Error()
		}
		authority = found
		return true, ""
	})
	return authority, errors.Join(err, foreign)
}

// authorityOf takes the authority from what the server shows when a connection is made. It is trusted by its hash alone,
// and the server by it; nothing is sent before.
func authorityOf(ctx context.Context, server string, token plan.JoinToken) (authority []byte, err error) {
	address, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{Config: &tls.Config{
		ServerName:         address.Hostname(),
		InsecureSkipVerify: true, // by the usual rules: those below are stricter
		VerifyConnection: func(state tls.ConnectionState) error {
			authority, err = trusted(state, token)
			return err
		},
	}}
	connection, err := dialer.DialContext(ctx, "tcp", address.Host)
	if err != nil {
		return nil, err
	}
	return authority, connection.Close()
}

// trusted finds the authority of the token among the certificates that the server shows, and checks the server with it.
func trusted(state tls.ConnectionState, token plan.JoinToken) ([]byte, error) {
	for _, certificate := range state.PeerCertificates {
		authority := pki.EncodeCertificate(certificate.Raw)
		if !token.IsOf(authority) {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(certificate)
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: state.ServerName})
		return authority, err
	}
	return nil, errForeign
}
