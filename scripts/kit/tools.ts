/** Command-line tools that checks need, compiled once for this machine from the go.mod that pins them. */
import type { GoBinary } from '../core/types.ts'
import { goBuild } from './go.ts'

const TOOLS = {
  helm: { goMod: 'local/tools/helm', package: 'helm.sh/helm/v4/cmd/helm', ldflags: ['-X helm.sh/helm/v4/internal/version.version=v4.2.4'] },
  kustomize: {
    goMod: 'local/tools/kustomize',
    package: 'sigs.k8s.io/kustomize/kustomize/v5',
    ldflags: ['-X sigs.k8s.io/kustomize/api/provenance.version=v5.8.1'],
  },
  gitleaks: {
    goMod: 'local/tools/gitleaks',
    package: 'github.com/zricethezav/gitleaks/v8',
    ldflags: ['-X github.com/zricethezav/gitleaks/v8/version.Version=8.30.1'],
  },
  promtool: {
    goMod: 'alerts/prometheus/module',
    package: 'github.com/prometheus/prometheus/cmd/promtool',
    // The server's own: what both compile is compiled once, and the clouds' discovery not at all.
    tags: ['remove_all_sd', 'enable_kubernetes_sd'],
  },
  amtool: { goMod: 'alerts/alertmanager/module', package: 'github.com/prometheus/alertmanager/cmd/amtool' },
  tflint: { goMod: 'local/tools/tflint', package: 'github.com/terraform-linters/tflint' },
  cosign: { goMod: 'local/tools/cosign', package: 'github.com/sigstore/cosign/v3/cmd/cosign' },
  syft: { goMod: 'local/tools/syft', package: 'github.com/anchore/syft/cmd/syft', ldflags: ['-X main.version=1.57.1'] },
  grype: { goMod: 'local/tools/grype', package: 'github.com/anchore/grype/cmd/grype', ldflags: ['-X main.version=0.121.3'] },
  kubeconform: { goMod: 'local/tools/kubeconform', package: 'github.com/yannh/kubeconform/cmd/kubeconform' },
  pint: { goMod: 'local/tools/pint', package: 'github.com/cloudflare/pint/cmd/pint' },
  actionlint: { goMod: 'local/tools/actionlint', package: 'github.com/rhysd/actionlint/cmd/actionlint' },
} satisfies Record<string, GoBinary>

export type ToolName = keyof typeof TOOLS

/** The definition of a tool, so that an image can carry the same one. */
export function toolBinary(name: ToolName): GoBinary {
  return TOOLS[name]
}

/** The path of a tool for this machine; compiled at the first call, which takes up to minutes. */
export async function tool(name: ToolName, signal?: AbortSignal): Promise<string> {
  return goBuild(TOOLS[name], hostPlatform(), signal)
}

function hostPlatform(): { os: string; arch: string } {
  return { os: process.platform === 'darwin' ? 'darwin' : 'linux', arch: process.arch === 'x64' ? 'amd64' : process.arch }
}
