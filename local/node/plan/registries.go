package plan

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// registriesFile is k3s's registries.yaml.
type registriesFile struct {
	Mirrors map[string]registryMirror `json:"mirrors"`
	Configs map[string]any            `json:"configs"`
}

type registryMirror struct {
	Endpoint []string          `json:"endpoint"`
	Rewrite  map[string]string `json:"rewrite"`
}

// RegistryHostFiles turns k3s's registries.yaml into containerd's hosts.toml files, by the folder below certs.d.
// As in k3s, the registry itself is asked last. Notes say what has no effect here.
func RegistryHostFiles(registries []byte) (files map[string]string, notes []string, err error) {
	var parsed registriesFile
	if err := yaml.UnmarshalStrict(registries, &parsed); err != nil {
		return nil, nil, fmt.Errorf("not in the form of k3s's registries.yaml: %w", err)
	}
	files = map[string]string{}
	for host, mirror := range parsed.Mirrors {
		folder := host
		if host == "*" {
			folder = "_default"
		} else if host == "" || strings.ContainsAny(host, "/ ") || strings.HasPrefix(host, ".") {
			return nil, nil, fmt.Errorf("mirrors: %q is not a registry's host name", host)
		}
		if len(mirror.Rewrite) > 0 {
			notes = append(notes, fmt.Sprintf("mirrors: %s: rewrite has no effect on this node", host))
		}
		if files[folder], err = hostFile(mirror.Endpoint); err != nil {
			return nil, nil, fmt.Errorf("mirrors: %s: %w", host, err)
		}
	}
	for host := range parsed.Configs {
		notes = append(notes, fmt.Sprintf("configs: %s has no effect on this node", host))
	}
	slices.Sort(notes) // maps have no order, logs should
	return files, notes, nil
}

func hostFile(endpoints []string) (string, error) {
	var file strings.Builder
	for _, endpoint := range endpoints {
		address, err := url.Parse(endpoint)
		if err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https") {
			return "", fmt.Errorf("endpoint %q is not a URL such as http://registry:5000", endpoint)
		}
		address.Path = strings.TrimSuffix(address.Path, "/")
		fmt.Fprintf(&file, "[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", address.String())
		if address.Path != "" {
			// Without this containerd puts /v2 behind the path.
			file.WriteString("  override_path = true\n")
		}
	}
	return file.String(), nil
}
