"""Secrets Manager, below the stack's own prefix."""

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.names import Names


class AwsSecrets:
    def __init__(self, clients: Clients, names: Names) -> None:
        self._clients = clients
        self._names = names

    async def get(self, name: str) -> str | None:
        try:
            answer = await self._clients.call("secretsmanager", "get_secret_value", SecretId=self._names.secret(name))
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
            return None
        return str(answer["SecretString"])

    async def put(self, name: str, value: str) -> None:
        secret = self._names.secret(name)
        try:
            await self._clients.call("secretsmanager", "create_secret", Name=secret, SecretString=value)
        except AwsRefusal as refusal:
            if refusal.code != "ResourceExistsException":
                raise
            await self._clients.call("secretsmanager", "put_secret_value", SecretId=secret, SecretString=value)

    async def delete(self, name: str) -> None:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html"""
        secret = self._names.secret(name)
        try:
            await self._clients.call(
                "secretsmanager", "delete_secret", SecretId=secret, ForceDeleteWithoutRecovery=True
            )
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
