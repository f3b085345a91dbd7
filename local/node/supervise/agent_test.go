package supervise

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"holdfast.local/node/pki"
	"holdfast.local/node/plan"
)

func nodeAt(name, ip, pods string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.NodeSpec{PodCIDR: pods},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: ip},
		}},
	}
}

func TestRoutesGoToTheOtherNodes(t *testing.T) {
	homeless := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n4"}, Spec: corev1.NodeSpec{PodCIDR: "10.42.3.0/24"}}
	routes := peerRoutes("n1", []*corev1.Node{
		nodeAt("n1", "172.18.0.2", "10.42.0.0/24"), nodeAt("n2", "172.18.0.3", "10.42.1.0/24"), nodeAt("n3", "172.18.0.4", ""), homeless,
	})
	if want := map[string]string{"10.42.1.0/24": "172.18.0.3"}; !maps.Equal(routes, want) {
		t.Errorf("got %v, want %v", routes, want)
	}
}

func servingRequest(t *testing.T, user string, asked x509.CertificateRequest) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asked.Subject = pkix.Name{CommonName: user, Organization: []string{"system:nodes"}}
	der, err := x509.CreateCertificateRequest(rand.Reader, &asked, key)
	if err != nil {
		t.Fatal(err)
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	return &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{Username: user, Request: request}}
}

func TestANodeGetsACertificateOfItsOwnNameAndAddressOnly(t *testing.T) {
	node := nodeAt("n2", "172.18.0.3", "10.42.1.0/24")
	own, other := net.ParseIP("172.18.0.3"), net.ParseIP("172.18.0.2")
	for _, c := range []struct {
		asked x509.CertificateRequest
		want  string
	}{
		{x509.CertificateRequest{DNSNames: []string{"n2"}, IPAddresses: []net.IP{own}}, ""},
		{x509.CertificateRequest{DNSNames: []string{"n1"}, IPAddresses: []net.IP{own}}, "n1 is not the name of n2"},
		{x509.CertificateRequest{DNSNames: []string{"n2"}, IPAddresses: []net.IP{own, other}}, "172.18.0.2 is not an address of n2"},
	} {
		if problem := servingProblem(servingRequest(t, "system:node:n2", c.asked), node); problem != c.want {
			t.Errorf("got %q, want %q", problem, c.want)
		}
	}
	if problem := servingProblem(&certificatesv1.CertificateSigningRequest{}, nil); problem != "no node asks" {
		t.Errorf("got %q", problem)
	}
}

func TestOnlyANodeAsksForANode(t *testing.T) {
	for user, want := range map[string]string{
		"system:node:n2": "n2", "system:node:": "", "admin": "", "system:serviceaccount:kube-system:system:node:n2": "",
	} {
		request := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{Username: user}}
		if got := nodeOf(request); got != want {
			t.Errorf("%s: got %q, want %q", user, got, want)
		}
	}
}

// serveTLS shows the certificate of a cluster until the test ends, and returns its address and authority.
func serveTLS(t *testing.T, name string) (address string, authority []byte) {
	t.Helper()
	ca, err := pki.OpenAuthority(t.TempDir(), "ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(pki.Leaf{File: "s", CommonName: "s", Names: []string{name}, WithAuthority: true})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_ = connection.(*tls.Conn).Handshake() // the client says what it thinks of it
			_ = connection.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return "https://localhost:" + port, ca.PEM()
}

func tokenOf(authority []byte) plan.JoinToken {
	hash := sha256.Sum256(authority)
	return plan.JoinToken{AuthorityHash: hex.EncodeToString(hash[:])}
}

func TestAnAgentTrustsTheClusterOfItsTokenOnly(t *testing.T) {
	ctx := context.Background()
	server, authority := serveTLS(t, "localhost")
	found, err := authorityOf(ctx, server, tokenOf(authority))
	if err != nil || string(found) != string(authority) {
		t.Errorf("its own cluster: got %s, %v", found, err)
	}
	if _, err := awaitAuthority(ctx, server, tokenOf([]byte("another"))); !errors.Is(err, errForeign) {
		t.Errorf("another cluster: %v", err)
	}
	elsewhere, authority := serveTLS(t, "n1")
	if _, err := authorityOf(ctx, elsewhere, tokenOf(authority)); err == nil || errors.Is(err, errForeign) || !strings.Contains(err.Error(), "n1") {
		t.Errorf("a server of another name: %v", err)
	}
}

func TestAnAgentWaitsForItsServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := awaitAuthority(ctx, "https://127.0.0.1:1", plan.JoinToken{}); err == nil || errors.Is(err, errForeign) {
		t.Errorf("got %v", err)
	}
}
