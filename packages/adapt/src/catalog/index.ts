export {
  type CustomParts,
  createGate,
  createMethod,
  type MethodContext,
  type MethodOptions,
  type PartFactory,
} from './create-method.js'
export * from './method-config.js'
