/** Monitoring as parts of the platform, each with an Application of its own. */
import { application, type Part, renderedSource } from '#core'
import { alertmanager } from './alertmanager/part.ts'
import { grafana } from './grafana/part.ts'
import { kubeStateMetrics } from './kube-state-metrics/part.ts'
import { metricsServer } from './metrics-server/part.ts'
import { nodeExporter } from './node-exporter/part.ts'
import { MONITORING_NAMESPACE, prometheusOperator } from './operator/part.ts'
import { prometheus } from './prometheus/part.ts'
import { renderRules } from './rules.ts'
import { alertFires, alertKeepsQuiet } from './scenarios/error-rate.ts'
import { latencyAlert } from './scenarios/latency.ts'
import { alertmanagerDown, dnsDown, prometheusDown, serviceCutOff } from './scenarios/outages.ts'
import { crashLoopAlert, memoryAlert } from './scenarios/pods.ts'
import { alertmanagerRestarted } from './scenarios/restart.ts'
import { servesErrors, slowAnswers } from './scenarios/sick-pod.ts'

const alertRules: Part = {
  name: 'alert-rules',
  namespaces: [],
  images: [],
  rendered: async ({ timing }) => renderRules(timing),
  applications: (target) => [
    application({ name: 'alert-rules', namespace: MONITORING_NAMESPACE, sources: [renderedSource('alert-rules', target)] }),
  ],
  scenarios: [
    ...[alertFires, alertKeepsQuiet, alertmanagerRestarted, latencyAlert, crashLoopAlert, memoryAlert],
    ...[servesErrors, slowAnswers, prometheusDown, alertmanagerDown, dnsDown, serviceCutOff],
  ],
}

/** The operator defines the kinds of all others. */
export const monitoring: readonly Part[] = [
  prometheusOperator,
  prometheus,
  alertRules,
  alertmanager,
  nodeExporter,
  metricsServer,
  kubeStateMetrics,
  grafana,
]
