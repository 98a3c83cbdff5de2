export { renderAuditPage, writeAuditReport } from './audit-report.js'
export { type Audit, type AuditedSignal, type AuditRequest, auditSignals } from './audit-signals.js'
export { alsoScoring, leftOutTogether, percent, shortEstimate, shortFigure, verdictOf } from './audit-text.js'
export { decidingAuc, type SourceRoles } from './signal-figures.js'
