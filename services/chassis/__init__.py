"""What every service stands on.

Settings, server lifecycle, interceptors, errors, connectors, calls to other
services, logs, metrics and tracing. The chassis knows no service: services
import it, never the other way round.
"""
